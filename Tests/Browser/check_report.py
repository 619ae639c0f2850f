"""Opens a report in headless Chromium and checks what a reader would meet. `Tests/Browser/run` installs what this needs."""

import argparse
import base64
import importlib.resources
import json
import pathlib
import shutil
import sys

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

WIDTHS = (1280, 420)
SCHEMES = ("light", "dark")


class Page:
    """A report in a browser of a given width and colour scheme."""

    def __init__(self, path):
        options = webdriver.ChromeOptions()
        binary = shutil.which("chromium") or shutil.which("google-chrome")
        if binary:
            options.binary_location = binary
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = shutil.which("chromedriver")
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
        self.url = path.as_uri()

    def open(self, width, scheme, script=True):
        self.cdp("Emulation.setScriptExecutionDisabled", value=not script)
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},  # otherwise a click can miss what still scrolls
        ])
        self.driver.get(self.url)
        if script:
            self.wake()

    def wake(self):
        """Scrolls through, as a reader would, until every part has woken."""
        for part in self.find("[data-component]"):
            self.js("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", part)
            WebDriverWait(self.driver, 20).until(lambda _: self.js("return arguments[0].dataset.awake", part) == "yes")
        self.js("scrollTo({top: 0, behavior: 'instant'})")

    def cdp(self, name, **arguments):
        return self.driver.execute_cdp_cmd(name, arguments)

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def find(self, selector, root=None):
        return (root or self.driver).find_elements(By.CSS_SELECTOR, selector)

    def canvas(self, element):
        return self.js("return arguments[0].toDataURL()", element)

    def middle(self, element):
        self.js("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", element)

    def set(self, slider, value):
        self.js("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))", slider, value)

    def keys(self, *keys):
        chain = ActionChains(self.driver)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    def screenshot(self, path):
        size = self.cdp("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 30000), "scale": 1}
        shot = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self):
        """Addresses asked for since the last call, other than the report itself and data: addresses."""
        out = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith("data:") and url.split("#")[0] != self.url:
                    out.append(url)
        return out


class Checks:
    def __init__(self):
        self.failed = 0

    def __call__(self, name, good, detail=""):
        print(("ok      " if good else "FAILED  ") + name + ("" if good or not detail else f": {detail}"), flush=True)
        self.failed += 0 if good else 1


def check_layout(page, check, width):
    wide = page.js("return document.documentElement.scrollWidth")
    check(f"nothing sticks out of the page at {width}", wide <= width, f"{wide} pixels wide")
    clipped = page.js(
        """return [...document.querySelectorAll('button, .segments span, figcaption, dt, dd, h1, h2, h3, p')].filter(e => {
             const r = e.getBoundingClientRect();
             return r.width > 0 && !e.closest('.scroll, .contents, .sheet, .sr, .skip') && !e.matches('.sr, .skip') && (r.right > innerWidth + 1 || r.left < -1);
           }).map(e => e.className + ' ' + e.textContent.slice(0, 40))"""
    )
    check(f"no text is cut off at {width}", not clipped, str(clipped[:3]))


def check_words(page, check, root):
    canvas = page.find(".overlay", root)[0]
    page.middle(canvas)
    before = page.canvas(canvas)
    colours = page.js("return new Set(arguments[0].getContext('2d').getImageData(0, 0, arguments[0].width, arguments[0].height).data).size", canvas)
    check("a map is drawn", colours > 30, f"{colours} values of colour")
    words = page.find(".word", root)
    others = [w for w in words if w.get_attribute("aria-pressed") == "false"]
    page.middle(others[-1])
    ActionChains(page.driver).move_to_element(others[-1]).perform()
    hovered = page.canvas(canvas)
    check("hovering a word changes the map", hovered != before)
    ActionChains(page.driver).move_to_element(page.find("h1")[0]).perform()
    check("leaving it brings the chosen word's map back", page.canvas(canvas) == before)
    others[-1].click()
    ActionChains(page.driver).move_to_element(page.find("h1")[0]).perform()
    check("a click keeps the map", page.canvas(canvas) == hovered and others[-1].get_attribute("aria-pressed") == "true")
    page.js("arguments[0].focus()", words[0])
    page.keys(Keys.ARROW_RIGHT)
    check("arrow keys walk along the words", words[1].get_attribute("aria-pressed") == "true")
    check("what is shown is said", words[1].text.split("!")[0].split(",")[0] in page.find(".now", root)[0].text)
    now = page.canvas(canvas)
    steps = page.find(".step", root)
    if steps:
        page.set(steps[0], 3)
        check("scrubbing the steps changes the map", page.canvas(canvas) != now)
        page.js("arguments[0].focus()", steps[0])
        before_key = steps[0].get_attribute("value")
        page.keys(Keys.ARROW_RIGHT)
        check("the steps move by keyboard", steps[0].get_attribute("value") != before_key)
        page.set(steps[0], 0)
        check("and back to all steps", page.canvas(canvas) == now)
    for name in ("scale", "group"):
        radios = page.find(f"input[name$='-{name}']", root)
        if len(radios) > 1:
            high = page.find(".high", root)[0].text
            page.js("arguments[0].click()", radios[1])
            check(f"another {name} changes the map or its scale", page.canvas(canvas) != now or page.find(".high", root)[0].text != high)
            page.js("arguments[0].click()", radios[0])
    contour = page.find(".contour", root)[0]
    page.js("arguments[0].click()", contour)
    check("the contour can be taken away", page.canvas(canvas) != now)
    page.js("arguments[0].click()", contour)
    ActionChains(page.driver).move_to_element(canvas).perform()
    check("a value is read under the pointer", "Row" in page.find(".reading", root)[0].text)


def check_self_attention(page, check, root):
    canvas = page.find(".overlay", root)[0]
    page.middle(canvas)
    before, words = page.canvas(canvas), page.find(".now", root)[0].text
    size = canvas.size
    ActionChains(page.driver).move_to_element_with_offset(canvas, -size["width"] // 3, size["height"] // 3).click().perform()
    clicked = page.canvas(canvas)
    check("clicking a place changes what it looks at", clicked != before and page.find(".now", root)[0].text != words)
    page.keys(Keys.ARROW_UP, Keys.ARROW_UP)
    check("arrow keys move the place", page.canvas(canvas) != clicked)


def check_film(page, check, root):
    slider = page.find(".player .step", root)[0]
    image = page.find(".stage-row img", root)[0]
    page.middle(slider)
    last = image.get_attribute("src")
    page.set(slider, 0)
    check("scrubbing the film changes the picture", image.get_attribute("src") != last)
    page.js("arguments[0].focus()", slider)
    page.keys(Keys.ARROW_RIGHT)
    check("the film moves by keyboard", slider.get_attribute("value") == "1")
    play = page.find(".play", root)[0]
    play.click()
    WebDriverWait(page.driver, 5).until(lambda _: int(slider.get_attribute("value")) > 1)
    play.click()
    check("the film plays and stops", play.text == "Play")
    check("labels of the film stay in view", sticks(page, page.find(".strip", root)[0], "tbody th"))


def sticks(page, box, label):
    """Whether a row's label stays at the left edge when its box is scrolled; true as well when there is nothing to scroll."""
    return page.js(
        """const [box, selector] = arguments; box.scrollLeft = 9999; box.scrollTop = 9999;
           const a = box.querySelector(selector).getBoundingClientRect(), b = box.getBoundingClientRect();
           const good = Math.abs(a.left - b.left) < 12; box.scrollLeft = 0; box.scrollTop = 0; return good""",
        box, label,
    )


def check_scatter(page, check, root):
    canvas = page.find(".points", root)[0]
    page.middle(canvas)
    before = page.canvas(canvas)
    check("the points are drawn", canvas.is_displayed() and not page.find("svg.static", root))
    size = canvas.size
    ActionChains(page.driver).move_to_element_with_offset(canvas, -size["width"] // 4, -size["height"] // 4).click_and_hold().move_by_offset(
        size["width"] // 2, size["height"] // 2
    ).release().perform()
    sheet = page.find(".sheet li", root)
    check("brushing fills the contact sheet", len(sheet) > 3, f"{len(sheet)} pictures")
    check("and says how many", "points selected" in page.find(".brush-count", root)[0].text)
    pictures = page.find(".sheet canvas", root)
    if pictures:
        check("thumbnails are drawn", page.js("return [...arguments[0].getContext('2d').getImageData(0, 0, 9, 9).data].some(v => v > 0 && v < 255)", pictures[0]))
    page.js("arguments[0].focus()", canvas)
    page.keys(Keys.ESCAPE)
    check("Escape clears the brush", not page.find(".sheet li", root) and page.canvas(canvas) == before)
    page.keys(Keys.ENTER)
    for _ in range(4):
        ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN).key_up(Keys.SHIFT).perform()
    page.keys(Keys.ENTER)
    check("the brush works by keyboard", "points selected" in page.find(".brush-count", root)[0].text)
    page.keys(Keys.ESCAPE)
    x, y = page.js("const r = arguments[0].getBoundingClientRect(); return [r.width, r.height]", canvas)
    found = False
    for i in range(-6, 7):
        ActionChains(page.driver).move_to_element_with_offset(canvas, int(i * x / 15), 0).perform()
        found = found or page.find(".tip", root)[0].is_displayed()
    check("a point under the pointer shows its picture and caption", found)
    ActionChains(page.driver).move_to_element(page.find("h1")[0]).perform()
    for name in ("method", "space"):
        radios = page.find(f"input[name$='-{name}']", root)
        if len(radios) > 1:
            now = page.canvas(canvas)
            page.js("arguments[0].click()", radios[1])
            check(f"another {name} moves the points", page.canvas(canvas) != now)
            page.js("arguments[0].click()", radios[0])
    if page.find(".factor option:nth-child(2)", root):
        now, legend = page.canvas(canvas), page.find(".legend", root)[0].text
        page.js("arguments[0].value = '1'; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))", page.find(".factor", root)[0])
        check("another factor changes colours and legend", page.canvas(canvas) != now and page.find(".legend", root)[0].text != legend)
        page.js("arguments[0].value = '0'; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))", page.find(".factor", root)[0])


def check_grid(page, check, root):
    box = page.find(".scroll.grid", root)[0]
    page.middle(box)
    check("labels of the grid stay in view", sticks(page, box, "tbody th"))
    button = page.find(".enlarge", root)[0]
    page.js("arguments[0].click()", button)
    dialog = page.find("#lightbox")[0]
    check("a click enlarges a picture", dialog.get_attribute("open") is not None)
    first = page.find("#lightbox-caption")[0].text
    page.keys(Keys.ARROW_RIGHT)
    check("arrow keys turn to the next picture", page.find("#lightbox-caption")[0].text != first)
    page.keys(Keys.ESCAPE)
    check("Escape closes it", dialog.get_attribute("open") is None)


def check_code(page, check, root):
    button = page.find(".copy", root)[0]
    page.middle(button)
    button.click()
    check("the copy button answers", WebDriverWait(page.driver, 5).until(lambda _: button.text in ("Copied", "Selected")))


def check_keyboard(page, check):
    """Tab reaches every kind of control, and it is seen where one is."""
    page.js("scrollTo({top: 0, behavior: 'instant'}); document.activeElement.blur()")
    unseen, visited = [], 0
    for _ in range(60):
        page.keys(Keys.TAB)
        seen = page.js(
            """const e = document.activeElement; if (e === document.body) return null;
               const shown = e.matches('.segments input') ? e.nextElementSibling : e;
               return [e.tagName + '.' + e.className, getComputedStyle(shown).outlineStyle !== 'none' && parseFloat(getComputedStyle(shown).outlineWidth) >= 2]"""
        )
        if seen:
            visited += 1
            if not seen[1]:
                unseen.append(seen[0])
    check("Tab walks through the page", visited > 20, f"{visited} stops")
    check("focus is always seen", not unseen, str(unseen[:4]))


def check_accessibility(page, check, name):
    axe = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text()
    page.js(axe + "; window.axe = window.axe || axe;")
    page.driver.set_script_timeout(120)
    result = page.driver.execute_async_script("const done = arguments[0]; axe.run(document).then(done, e => done({error: String(e)}))")
    if "violations" not in result:
        check(f"axe runs, {name}", False, str(result))
        return
    found = [f"{v['id']} ({len(v['nodes'])}): {v['nodes'][0]['target']} {v['nodes'][0].get('failureSummary', '')[:300]}" for v in result["violations"]]
    check(f"axe {result['testEngine']['version']} finds nothing, {name}", not found, "\n        ".join(found))


def check_without_script(page, check):
    hidden = page.js("return [...document.querySelectorAll('.needs-js')].filter(e => e.offsetParent !== null).length")
    check("without JavaScript no dead control is shown", hidden == 0, f"{hidden} shown")
    empty = page.js(
        """return [...document.querySelectorAll('[data-component]')].filter(e => e.getBoundingClientRect().height < 40
             || (!e.matches('.code') && ![...e.querySelectorAll('img, svg')].some(i => i.getBoundingClientRect().width > 20))).map(e => e.id)"""
    )
    check("without JavaScript every part shows something", not empty, str(empty))
    broken = page.js("return [...document.querySelectorAll('main img')].filter(i => i.offsetParent !== null && (!i.complete || !i.naturalWidth)).length")
    check("without JavaScript every picture is there", broken == 0, f"{broken} broken")
    check("and it says what JavaScript would add", "without JavaScript" in page.find("main")[0].text)


PARTS = {
    "film": check_film, "wordmaps": check_words, "selfattention": check_self_attention, "scatter": check_scatter, "imagegrid": check_grid,
    "code": check_code,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path, help="a folder for pictures of the page")
    parser.add_argument("--all", action="store_true", help="every kind of part must be there")
    options = parser.parse_args()
    if not options.report.is_file():
        sys.exit(f"check_report: there is no {options.report}")
    check = Checks()
    page = Page(options.report.resolve())
    try:
        for width in WIDTHS:
            for scheme in SCHEMES:
                page.open(width, scheme)
                check_layout(page, check, width)
                if options.screenshots:
                    options.screenshots.mkdir(parents=True, exist_ok=True)
                    page.screenshot(options.screenshots / f"{width}-{scheme}.png")
                check_accessibility(page, check, f"{width}, {scheme}")
        for width in WIDTHS:
            page.open(width, "light")
            for name, part in PARTS.items():
                roots = page.find(f"[data-component={name}]")
                if options.all:
                    check(f"there is a part {name}", bool(roots))
                if roots:
                    print(f"  {name}, {width}")
                    part(page, check, roots[0])
            check_keyboard(page, check)
        for width in WIDTHS:
            page.open(width, "light", script=False)
            check_without_script(page, check)
            check_layout(page, check, width)
            if options.screenshots:
                page.screenshot(options.screenshots / f"{width}-without-javascript.png")
        if options.screenshots:
            page.open(1280, "dark")
            pdf = page.cdp("Page.printToPDF", printBackground=True)
            (options.screenshots / "print.pdf").write_bytes(base64.b64decode(pdf["data"]))
        complaints, requests = page.complaints(), page.requests()
        check("the console is silent", not complaints, "\n        ".join(complaints[:5]))
        check("nothing is asked of any network", not requests, str(requests[:5]))
    finally:
        page.driver.quit()
    print(f"{check.failed} failed" if check.failed else "all good")
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
