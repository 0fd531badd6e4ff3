"""The page while things happen elsewhere: a run, another tab, a server that is gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command import COMMAND
from conftest import Served
from playwright.sync_api import Page, expect
from review_batch import Prompt, write

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]
