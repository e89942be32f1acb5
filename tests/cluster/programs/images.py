#!/usr/bin/env python3
"""Makes small container images from this machine's static busybox and puts them where a cluster finds them.

    images.py archive FILE IMAGE…          one archive that containerd imports
    images.py push [--user NAME:PASSWORD] [--arch ARCH] IMAGE…   straight into a registry that speaks plain HTTP

IMAGE is HOST:PORT/NAME:TAG. No container engine and no outside registry takes part.
"""
import argparse
import base64
import hashlib
import io
import json
import platform
import subprocess
import tarfile
import urllib.parse
import urllib.request

BUSYBOX = "/bin/busybox"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
PASSWD = b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def add(archive, name, data=b"", kind=tarfile.REGTYPE, mode=0o755, link=""):
    """Adds one entry; owner and times stay zero, so the same busybox always gives the same image."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(data)
    archive.addfile(entry, io.BytesIO(data))


def layer():
    with open(BUSYBOX, "rb") as f:
        busybox = f.read()
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for folder in ("bin", "etc", "tmp", "data"):
            add(archive, folder, kind=tarfile.DIRTYPE, mode=0o1777 if folder in ("tmp", "data") else 0o755)
        add(archive, "etc/passwd", PASSWD, mode=0o644)
        add(archive, "bin/busybox", busybox)
        for applet in applets:
            if applet != "busybox":
                add(archive, "bin/" + applet, kind=tarfile.SYMTYPE, link="busybox")
    return out.getvalue()


def config(layer_data, command, arch):
    return json.dumps({
        "architecture": arch,
        "os": "linux",
        "config": {"Cmd": command, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [sha256(layer_data)]},
    }, sort_keys=True).encode()


def command_of(image):
    """A pause container only has to stay; every other image starts a shell."""
    return ["sleep", "2147483647"] if "/pause:" in image else ["sh"]


def own_arch():
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def archive(path, images):
    data = layer()
    layer_name = sha256(data)[7:] + ".tar"
    entries = {}
    manifest = []
    for image in images:
        text = config(data, command_of(image), own_arch())
        name = sha256(text)[7:] + ".json"
        entries[name] = text
        manifest.append({"Config": name, "RepoTags": [image], "Layers": [layer_name]})
    entries |= {layer_name: data, "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(path, "w") as out:
        for name, content in entries.items():
            add(out, name, content, mode=0o644)


class Registry:
    """The few calls of the registry's HTTP API that a push needs."""

    def __init__(self, host, user):
        self.base = f"http://{host}"
        self.headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}

    def call(self, method, url, data=None, content_type="application/octet-stream"):
        url = urllib.parse.urljoin(self.base, url)
        headers = dict(self.headers, **{"Content-Type": content_type})
        return urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=10)

    def put_blob(self, name, data):
        start = self.call("POST", f"/v2/{name}/blobs/uploads/", b"").headers["Location"]
        self.call("PUT", start + ("&" if "?" in start else "?") + "digest=" + urllib.parse.quote(sha256(data)), data)

    def put_manifest(self, name, tag, manifest):
        self.call("PUT", f"/v2/{name}/manifests/{tag}", json.dumps(manifest).encode(), MANIFEST_TYPE)


def push(images, user, arch):
    data = layer()
    for image in images:
        host, _, rest = image.partition("/")
        name, _, tag = rest.rpartition(":")
        text = config(data, command_of(image), arch)
        registry = Registry(host, user)
        for blob in (data, text):
            registry.put_blob(name, blob)
        kind = "application/vnd.docker."
        registry.put_manifest(name, tag, {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": kind + "container.image.v1+json", "size": len(text), "digest": sha256(text)},
            "layers": [{"mediaType": kind + "image.rootfs.diff.tar", "size": len(data), "digest": sha256(data)}],
        })


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("archive")
    one.add_argument("file")
    one.add_argument("images", nargs="+")
    two = commands.add_parser("push")
    two.add_argument("--user")
    two.add_argument("--arch", default=own_arch())
    two.add_argument("images", nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "archive":
        archive(arguments.file, arguments.images)
    else:
        push(arguments.images, arguments.user, arguments.arch)


if __name__ == "__main__":
    main()
