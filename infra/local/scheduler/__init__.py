"""The local scheduler: runs a job whenever its cron schedule is due."""
