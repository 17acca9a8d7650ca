"""The stages of one study file in one folder."""

from tradenas.study.config import StudyConfig, read_config
from tradenas.study.result import StudyResult
from tradenas.study.study import Study

__all__ = ["Study", "StudyConfig", "StudyResult", "read_config"]
