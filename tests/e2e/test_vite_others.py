"""The same as with React, at full length: front ends of Vue, and of Angular by Analog's plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.browser import in_chromium
from tests.e2e.npm import make_project
from tests.e2e.vite import Dev, edit_component

pytestmark = [pytest.mark.node, pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(400)]


@pytest.mark.parametrize(("name", "component"), [("vite_vue", "Title.vue"), ("vite_angular", "title.html")])
def test_an_edited_component_is_on_the_page_without_a_reload(
    name: str, component: str, tmp_path: Path
) -> None:
    project = make_project(tmp_path, name)
    with Dev(project) as server:
        in_chromium(lambda browser: edit_component(browser, server, project / "web" / "src" / component))
