"""foxglove.png: what `rtshm stream` sends, in Foxglove Studio: python3 docs/studio.py PACKAGES

PACKAGES is a folder of npm's with @foxglove/studio-base, the last release of Foxglove Studio that
has its source, and the react that it takes. It asks for the protocol by the name of that time.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import rtshm.testing
from rtshm.recording.conditions import Conditions
from rtshm.recording.stream import Foxglove, stream

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from tests.lib import browser  # noqa: E402

SECONDS = 12
STUDIO = "@foxglove/studio-base/assets"
PAGE = """<!doctype html>
<meta charset="utf-8"><style>html, body, #root { height: 100%; margin: 0 }</style>
<div id="root"></div>
<script src="/react/umd/react.production.min.js"></script>
<script src="/react-dom/umd/react-dom.production.min.js"></script>
<script>global = window; window["react"] = React; window["react-dom"] = ReactDOM</script>
<script src="/index.js"></script>
<script>
const path = value => ({value, enabled: true, timestampMethod: "receiveTime"});
const data = {
  layout: {direction: "row", first: "Plot!1", second: "Parameters!1", splitPercentage: 68},
  configById: {
    "Plot!1": {
      title: "motor", paths: [path("/motor.target"), path("/motor.speed")], xAxisVal: "timestamp",
      followingViewWidth: 8, isSynced: true, showXAxisLabels: true, showYAxisLabels: true,
      showLegend: true, legendDisplay: "floating", sidebarDimension: 0,
    },
    "Parameters!1": {title: "parameters"},
  },
  globalVariables: {}, userNodes: {}, playbackConfig: {speed: 1},
};
const saved = {data, savedAt: new Date().toISOString()};
const layout = {id: "motor", name: "motor", permission: "CREATOR_WRITE", baseline: saved};
const layouts = new Map([["motor", layout]]);
localStorage.setItem("studio.profile-data", JSON.stringify({currentLayoutId: "motor"}));
initI18n().then(() => ReactDOM.render(React.createElement(App, {
  deepLinks: [location.href],
  dataSources: [new FoxgloveWebSocketDataSourceFactory()],
  extensionLoaders: [],
  enableGlobalCss: true,
  appConfiguration: {
    get: key => ({colorScheme: "light", showOpenDialogOnStartup: false})[key],
    set: async () => {}, addChangeListener() {}, removeChangeListener() {},
  },
  layoutStorage: {
    list: async () => [...layouts.values()], get: async (_, id) => layouts.get(id),
    put: async (_, changed) => (layouts.set(changed.id, changed), changed),
    delete: async () => {}, importLayouts: async () => {},
  },
}), document.getElementById("root")));
</script>
"""


class Handler(SimpleHTTPRequestHandler):
    """Serves the page and the packages."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if self.path.startswith("/?"):
            self._send("text/html", PAGE.encode())
        elif not path.is_file():
            self.send_error(404)
        elif path.suffix == ".js":
            script = path.read_bytes()
            now = script.replace(b"foxglove.websocket.v1", b"foxglove.sdk.v1")
            self._send("text/javascript", now)
        else:
            super().do_GET()

    def _send(self, kind: str, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def translate_path(self, path: str) -> str:
        found = Path(super().translate_path(path))
        # Studio's own files are named as if they lay at the top.
        own = Path(self.directory, STUDIO, found.name)
        return str(own if own.is_file() else found)

    def log_message(self, *_: object) -> None:
        pass


def follow(view: Any) -> None:
    view.speed += (view.target - view.speed) / 100


def picture(packages: Path, path: Path) -> None:
    """A motor that follows its target in steps, as Foxglove Studio draws it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(packages)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    layout = "target:f64 speed:f64 gain:f32"
    stopped = threading.Event()
    with rtshm.testing.region(
        layout, name="motor", period="10ms", history=5000, task=follow
    ) as motor:
        motor.update(target=20, gain=0.25)
        foxglove = Foxglove("127.0.0.1", 0, [motor])
        reader = (Conditions.now(motor.info), motor.samples())
        drawn = {"stopped": lambda: "it is drawn" if stopped.is_set() else ""}
        thread = threading.Thread(target=stream, args=([reader], foxglove), kwargs=drawn)
        thread.start()
        with browser.tab() as tab:
            tab.page.set_viewport_size({"width": 1150, "height": 560})
            source = f"ds=foxglove-websocket&ds.url=ws://127.0.0.1:{foxglove.port}"
            tab.page.goto(f"http://127.0.0.1:{server.server_port}/?{source}")
            tab.page.get_by_text("motor.gain").wait_for()
            for second in range(SECONDS):
                motor.update(target=20 + 80 * (second // 2 % 2))
                tab.page.wait_for_timeout(1000)
            tab.page.screenshot(path=path)
        stopped.set()
        thread.join()
        foxglove.close()
    server.shutdown()


if __name__ == "__main__":
    picture(Path(sys.argv[1]), HERE / "foxglove.png")
