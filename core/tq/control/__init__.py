"""Remote control: commands to workers and their replies, from both ends."""
