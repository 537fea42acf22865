"""DBOS for Python: workflows of steps in code. Workflows in flight are threads."""

import concurrent.futures
import logging

import arguments
from dbos import DBOS, DBOSConfig
from meter import Meter

# Connections of its pool.
CONNECTIONS = 20


@DBOS.step()
def nothing(number: int) -> int:
    return number


@DBOS.workflow()
def steps(tasks: int) -> int:
    for number in range(tasks):
        nothing(number)
    return tasks


def main():
    case = arguments.parse()
    address = arguments.sqlalchemy_address(case.database, "postgresql")
    logging.disable(logging.CRITICAL)
    DBOS(config=DBOSConfig(
        name="bench", system_database_url=address, sys_db_pool_size=CONNECTIONS,
        application_version="bench", executor_id="bench",
        log_level="CRITICAL", console_log_level="CRITICAL",
    ))
    DBOS.launch()
    steps(1)
    with Meter() as meter:
        if case.in_flight == 1:
            for _ in range(case.flows):
                steps(case.tasks)
        else:
            with concurrent.futures.ThreadPoolExecutor(case.in_flight) as pool:
                list(pool.map(lambda _: steps(case.tasks), range(case.flows)))
    meter.report("dbos-python", case.flows, case.tasks, case.in_flight)
    DBOS.destroy()


if __name__ == "__main__":
    main()
