"""TaskFlow: linear flows with persistence, its serial engine. Flows in flight are threads, each with an engine of its own."""

import concurrent.futures
import contextlib
import logging

import arguments
from meter import Meter
from taskflow import engines, task
from taskflow.patterns import linear_flow
from taskflow.persistence import backends


class Nothing(task.Task):
    def execute(self):
        return 1


def chain(tasks: int) -> linear_flow.Flow:
    return linear_flow.Flow("chain").add(*(Nothing(f"task{number}") for number in range(tasks)))


def main():
    logging.disable(logging.CRITICAL)
    case = arguments.parse()
    address = arguments.sqlalchemy_address(case.database, "postgresql+psycopg2")
    backend = backends.fetch({"connection": address})
    with contextlib.closing(backend.get_connection()) as connection:
        connection.upgrade()

    def run(_number):
        engines.run(chain(case.tasks), engine="serial", backend=backend)

    run(0)
    with Meter() as meter:
        if case.in_flight == 1:
            for number in range(case.flows):
                run(number)
        else:
            with concurrent.futures.ThreadPoolExecutor(case.in_flight) as pool:
                list(pool.map(run, range(case.flows)))
    meter.report("taskflow", case.flows, case.tasks, case.in_flight)


if __name__ == "__main__":
    main()
