"""Why a day's scores differ from those before it: a field of the message, a publisher, a part of the traffic."""
