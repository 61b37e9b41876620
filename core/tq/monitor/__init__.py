"""What can be known of a cluster by listening: its state, rates, and dumps."""

from tq.monitor.cluster import ClusterState, NameStats
from tq.monitor.failures import FailureGroup, FailureGroups, Frame, is_library, own_frame
from tq.monitor.queues import QueueSight, WaitingTask, find_waiting, parked, peek, survey
from tq.monitor.rates import Histogram, Rings
from tq.monitor.task import TaskDetail, TaskInfo
from tq.monitor.watcher import Aged, ClusterWatcher, QueueInfo, WatchStatus, WorkerDetail
from tq.monitor.worker import WorkerInfo, WorkerStatus

__all__ = [
    "Aged",
    "ClusterState",
    "ClusterWatcher",
    "FailureGroup",
    "FailureGroups",
    "Frame",
    "Histogram",
    "NameStats",
    "QueueInfo",
    "QueueSight",
    "Rings",
    "TaskDetail",
    "TaskInfo",
    "WaitingTask",
    "WatchStatus",
    "WorkerDetail",
    "WorkerInfo",
    "WorkerStatus",
    "find_waiting",
    "is_library",
    "own_frame",
    "parked",
    "peek",
    "survey",
]
