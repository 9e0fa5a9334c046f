"""The page in headless Chromium: nothing from outside, no errors, no overflow, sorting, CSV, keyboard, accessibility.

Needs the package playwright and a chromium on the path; SAMBENCH_AXE names axe-core's axe.min.js for accessibility.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
WIDTHS, SCHEMES = (1280, 390), ("light", "dark")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory, sample):
    """A page with everything on it: two studies, times, a choice, pictures."""
    from bench.report.choose import Objective, choose, requirement
    from bench.report.costs import costs
    from bench.report.page.build import Content, page
    from bench.report.page.gallery import gallery
    from bench.report.read import read_run
    from bench.report.study import studies
    from tests.bench.report.runs import write_latency, write_run

    folder = tmp_path_factory.mktemp("browser")
    models = ("sam_vit_h", "sam_vit_l", "mobile_sam", "efficient_sam_ti", "efficient_sam_s", "grabcut")
    runs = [read_run(write_run(folder / "run", models)), read_run(write_run(folder / "other", models, rules="edgesam"))]
    found = studies(runs)
    spent = costs(found[0], [write_latency(folder / "latency.json", models)])
    choice = choose(found[0], spent, Objective("click1.miou"), [requirement("end_to_end_ms<=2000")])
    of_scenes = _of_scenes(write_run(folder / "scenes", models[2:4], images=4, each=2), sample)
    shown = gallery(of_scenes, sample, "click1", 1, lambda entry, image, annotation, row: annotation.mask(480, 640))
    file = folder / "page.html"
    file.write_text(page(Content(runs, found, found[0], spent, "SAM ViT-H", choice, shown)))
    return file


def _of_scenes(folder, sample):
    import numpy as np
    import pyarrow.parquet as pq

    from bench.report.read import read_run
    from bench.report.study import studies

    frame = pq.read_table(folder / "instances.parquet").to_pandas()
    objects = [(image.id, own.id) for image in sample.images for own in image.annotations[:2]]
    images, annotations = (np.tile([one[part] for one in objects], 4) for part in (0, 1))
    frame.assign(image_id=images, annotation_id=annotations).to_parquet(folder / "instances.parquet", index=False)
    return studies([read_run(folder)])[0]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, page_file):
    """Return a function that opens the page and gives it with its complaints and its requests."""
    contexts = []

    def at(width=1280, scheme="light", **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        page, complaints, requests = context.new_page(), [], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_file.as_uri())
        return page, complaints, [url for url in requests if not url.startswith(("data:", "file:"))]

    yield at
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_fits_and_is_quiet(opened, width, scheme):
    page, complaints, requests = opened(width, scheme)
    assert not complaints
    assert not requests
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 23, 27)") == (scheme == "dark")
    visible = page.locator(".plot:first-of-type svg").evaluate_all(
        "all => all.filter(one => one.checkVisibility()).length"
    )
    assert visible == page.locator(".plots .plot:first-of-type").count()


def test_a_head_sorts_both_ways_and_says_so(opened):
    page, *_ = opened()
    table = page.locator("#tables > .table").first
    head = table.locator("thead th").nth(1)

    def column():
        return [float(cell) for cell in table.locator("tbody tr > :nth-child(2)").evaluate_all(
            "cells => cells.map(cell => cell.dataset.order)")]  # fmt: skip

    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column() == sorted(column(), reverse=True)
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert column() == sorted(column())
    table.locator("thead th button").first.click()
    names = table.locator("tbody th").evaluate_all("cells => cells.map(cell => cell.dataset.order)")
    assert names == sorted(names, key=str.lower)
    assert head.get_attribute("aria-sort") is None


def test_csv_links_download_what_they_say(opened):
    page, *_ = opened(accept_downloads=True)
    with page.expect_download() as waiting:
        page.locator("figure .csv").first.click()
    text = Path(waiting.value.path()).read_text()
    assert text.startswith("label,x,x_low,x_high,y,y_low,y_high\n")
    assert "MobileSAM" in text


def test_the_gallery_goes_by_keyboard(opened):
    page, complaints, _ = opened()
    strip = page.locator(".strip").first
    strip.locator(".shot").first.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    assert dialog.is_visible()
    seen = [dialog.locator("p").inner_text()]
    for _ in range(2):
        page.keyboard.press("ArrowRight")
        seen.append(dialog.locator("p").inner_text())
    assert "MobileSAM" in seen[1]
    assert len(set(seen)) == 3
    page.keyboard.press("ArrowLeft")
    assert dialog.locator("p").inner_text() == seen[1]
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.classList.contains('shot')")
    assert not complaints


def test_print_is_light_and_whole(opened):
    page, *_ = opened(scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert not page.locator("nav").is_visible()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(opened, width, scheme):
    file = os.environ.get("SAMBENCH_AXE")
    if not file:
        pytest.skip("SAMBENCH_AXE names no axe.min.js")
    page, *_ = opened(width, scheme, bypass_csp=True)
    page.evaluate(Path(file).read_text())
    found = page.evaluate("axe.run()")["violations"]
    assert not [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found]
