"""Running it by schedule: one settings file, and the command that makes a Prefect server do what it says.

`schema` is the file, `wanted` and `automations` what it asks for as plain data, `changes` the comparison, `server` the only part that
talks to Prefect. The flows that are deployed are in `flows.deployed` and `flows.campaign`.
"""
