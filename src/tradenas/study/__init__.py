"""The stages of one study file in one folder."""

from tradenas.study.config import StudyConfig, read_config
from tradenas.study.study import Study, StudyResult

__all__ = ["Study", "StudyConfig", "StudyResult", "read_config"]
