from tests.integration.worker.conftest import *
def test_x(cluster):
    w=cluster.start()
    cluster.raw.lpush("celery", b"null")
    try:
        print(cluster.send("add",1,1).get(timeout=10))
    finally:
        print(w.output())
