"""A process that looks at a PostgreSQL database: ``python -m flows.database_check``. The URL comes on its input; the answer is JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import asyncpg

SECONDS = 15
OLDEST = 14


async def looked_at(url: str) -> dict[str, Any]:
    """The version, or what is wrong."""
    try:
        connection = await asyncpg.connect(url, timeout=SECONDS)
    except TimeoutError:
        return {"fault": f"it does not answer within {SECONDS} s"}
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        return {"fault": f"{type(error).__name__}: {str(error).strip().rstrip('.')}"}
    try:
        version = connection.get_server_version()
        if version.major < OLDEST:
            return {"fault": f"it is PostgreSQL {version.major}.{version.minor}, and Prefect needs {OLDEST} at least"}
        if not await connection.fetchval("select has_schema_privilege('public', 'create')"):
            return {"fault": "its user may not make tables in it: make the user the owner of the database"}
        if not await connection.fetchval("select count(*) from pg_available_extensions where name = 'pg_trgm'"):
            return {"fault": "the extension pg_trgm, which Prefect needs, is not installed there (the package postgresql-contrib has it)"}
        return {"version": f"{version.major}.{version.minor}"}
    finally:
        await connection.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(looked_at(json.load(sys.stdin)["url"]))))
