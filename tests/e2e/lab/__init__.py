"""The laboratory: real servers and supervisors of one test, all of them gone when the test is over."""
from .events import Event, EventLog
from .fleet import Fleet, Lab
from .nodes import Node, both_servers, noded_path, run_noded, same_reply
from .resp import Closed, Resp, RespError, encode, info_fields, pairs
from .servers import RedisServer
from .supervisors import KINDS, Group, Sentineld, StockSentinel, sentineld_path
from .wait import NotInTime, stays_true, wait_until
from .writer import UniqueWriter

__all__ = ["Closed", "Event", "EventLog", "Fleet", "Group", "KINDS", "Lab", "Node", "NotInTime", "RedisServer", "Resp",
           "RespError", "Sentineld", "StockSentinel", "UniqueWriter", "both_servers", "encode", "info_fields",
           "noded_path", "pairs", "run_noded", "same_reply", "sentineld_path", "stays_true", "wait_until"]
