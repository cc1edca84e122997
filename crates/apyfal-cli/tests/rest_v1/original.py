"""Calls a host as the original's client does."""
import concurrent.futures, json, os, sys, time

import requests
from requests.adapters import HTTPAdapter
from requests_toolbelt.multipart.encoder import MultipartEncoder


class Wildcard(HTTPAdapter):
    """Takes exactly one certificate, whatever the host is called."""

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, assert_hostname=False, **kwargs)


class Client:
    def __init__(self, url, certificate=None):
        self.url = url
        self.session = requests.Session()
        if certificate is None:
            self.session.mount(url, HTTPAdapter(max_retries=3))
        else:
            self.session.mount(url, Wildcard(max_retries=3))
            self.session.verify = certificate
        self.configuration = None

    def told(self, response):
        response.raise_for_status()
        told = response.json()
        if told.get("inerror", True):
            raise SystemExit("Host returned error: " + json.dumps(told))
        return told

    def check(self, told, what):
        app = told["parametersresult"].get("app")
        if app is None:
            raise SystemExit(what + "No result returned")
        if app["status"]:
            raise SystemExit(what + app["msg"])
        return app

    def post(self, path, fields):
        form = MultipartEncoder(fields=fields)
        response = self.session.post(
            self.url + path, data=form, headers={"Content-Type": form.content_type}
        )
        return self.told(response)

    def start(self, datafile=None, **specific):
        parameters = {
            "app": {
                "reset": False, "reload": True, "enable-sw-comparison": 0,
                "logging": {"format": 1, "verbosity": 2}, "specific": specific,
            },
            "env": {"client_id": "me", "client_secret": "hunter2", "apyfal_version": "1.2.7"},
        }
        fields = {"parameters": json.dumps(parameters)}
        if datafile:
            fields["datafile"] = "src", open(datafile, "rb"), "application/octet-stream"
        told = self.post("/v1.0/configuration/", fields)
        self.check(told, "Failed to configure accelerator: ")
        self.told(self.session.get("%s/v1.0/configuration/%d" % (self.url, told["id"])))
        self.configuration = told["url"]

    def process(self, src, dst, **specific):
        if self.configuration is None:
            listed = self.told(self.session.get(self.url + "/v1.0/configuration/"))["results"]
            if not listed or not listed[0]["used"]:
                raise SystemExit("Accelerator has not been configured. Use 'start' function.")
            self.configuration = listed[0]["url"]
        parameters = {"app": {
            "reset": False, "enable-sw-comparison": 0,
            "logging": {"format": 1, "verbosity": 4}, "specific": specific,
        }}
        fields = {"parameters": json.dumps(parameters), "configuration": self.configuration}
        if src:
            fields["datafile"] = "src", open(src, "rb"), "application/octet-stream"
        told = self.post("/v1.0/process/", fields)
        url = "%s/v1.0/process/%d" % (self.url, told["id"])
        try:
            while True:
                told = self.told(self.session.get(url))
                if told["processed"]:
                    break
            app = self.check(told, "Processing failed: ")
            if dst:
                with self.session.get(told["datafileresult"], stream=True) as response:
                    # Its bytes as they come: no status is looked at, and nothing is decoded.
                    with open(dst, "wb") as file:
                        while piece := response.raw.read(1 << 16):
                            file.write(piece)
        finally:
            self.session.delete(url)
        return app["specific"]

    def stop(self):
        try:
            self.session.get(self.url, timeout=2).raise_for_status()
        except requests.RequestException:
            raise SystemExit("the host does not answer")
        self.session.get(self.url + "/v1.0/stop/").json()


def main(host, action, accelerator, *words):
    # A URL with a slash at its end is asked for with two of them.
    client = Client(host + accelerator, certificate=os.environ.get("CERTIFICATE"))
    if action == "process":
        specific, src, dst = words
        client.start()
        print(client.process(src, dst, **json.loads(specific)))
    elif action == "process-only":
        client.process(*words)
    elif action == "start":
        client.start(words[0] or None)
    elif action == "map":
        client.start()
        with concurrent.futures.ThreadPoolExecutor(8) as executor:
            calls = [
                executor.submit(client.process, "in%d" % number, "out%d" % number)
                for number in range(int(words[0]))
            ]
            for call in calls:
                call.result()
    elif action == "time":
        count, src, dst = words
        client.start()
        for _ in range(int(count)):
            begin = time.perf_counter()
            client.process(src, dst)
            print(time.perf_counter() - begin)
    client.stop()
    client.stop()


main(*sys.argv[1:])
