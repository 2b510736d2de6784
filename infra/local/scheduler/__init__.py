"""A local Cloud Scheduler: `python -m infra.local.scheduler` runs a command on a schedule.

scheduler.py      runs a job at the times of a schedule      cron.py      schedules
"""
