// Takes files in: one as it is, several or a directory as a tar archive, and shows the link that comes of it.
"use strict";

const byId = (id) => document.getElementById(id);
const say = (text) => { byId("state").textContent = text; };
const encoder = new TextEncoder();

// A header of a tar archive (POSIX ustar), with the path in a pax header before it, so that it may be as long as it likes.
function header(name, size, type, seconds) {
  const block = new Uint8Array(512);
  const put = (at, text) => block.set(encoder.encode(text), at);
  const octal = (at, length, number) => put(at, number.toString(8).padStart(length - 1, "0"));
  put(0, name);
  octal(100, 8, type === "5" ? 0o755 : 0o644);
  octal(108, 8, 0);
  octal(116, 8, 0);
  octal(124, 12, size);
  octal(136, 12, seconds);
  put(148, "        ");
  put(156, type);
  put(257, "ustar\u000000");
  octal(148, 7, block.reduce((sum, byte) => sum + byte, 0));
  return block;
}

const padding = (size) => new Uint8Array((512 - (size % 512)) % 512);

function record(key, value) {
  const rest = ` ${key}=${value}\n`;
  const length = encoder.encode(rest).length;
  let total = length + String(length).length;
  total = length + String(total).length;
  return encoder.encode(`${total}${rest}`);
}

// Sizes beyond eight gigabytes stand in the pax header as well.
function archive(files) {
  const parts = [];
  for (const { path, file } of files) {
    const seconds = Math.max(0, Math.floor(file.lastModified / 1000));
    const records = [record("path", path), record("size", String(file.size))];
    const length = records.reduce((sum, bytes) => sum + bytes.length, 0);
    parts.push(header("pax", length, "x", seconds), ...records, padding(length));
    parts.push(header("file", Math.min(file.size, 0o77777777777), "0", seconds), file, padding(file.size));
  }
  parts.push(new Uint8Array(1024));
  return new Blob(parts, { type: "application/x-tar" });
}

function send(body, type, query) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const progress = byId("progress");
    request.open("POST", `/-/upload${query}`);
    request.setRequestHeader("Content-Type", type);
    request.upload.onprogress = (event) => {
      progress.max = event.total;
      progress.value = event.loaded;
      say(`${Math.floor(100 * event.loaded / Math.max(1, event.total))} % of ${event.total} bytes sent`);
    };
    request.onload = () => {
      if (request.status === 200) resolve(JSON.parse(request.responseText));
      else reject(new Error(request.responseText.trim() || `the gateway answered ${request.status}`));
    };
    request.onerror = () => reject(new Error("the gateway does not answer; is the daemon running?"));
    request.send(body);
  });
}

async function store(files) {
  if (files.length === 0) return;
  byId("result").hidden = true;
  byId("progress").hidden = false;
  say("storing");
  try {
    const [{ path, file }] = files;
    const alone = files.length === 1 && !path.includes("/");
    const stored = alone
      ? await send(file, "application/octet-stream", `?name=${encodeURIComponent(path)}`)
      : await send(archive(files), "application/x-tar", "");
    const link = byId("link");
    link.href = stored.address;
    link.textContent = stored.link;
    byId("code").src = `data:image/svg+xml,${encodeURIComponent(stored.code)}`;
    byId("result").hidden = false;
    say(`stored: ${stored.bytes} bytes`);
    link.focus();
  } catch (error) {
    say(`not stored: ${error.message}`);
  } finally {
    byId("progress").hidden = true;
  }
}

// All files below what was dropped.
async function below(entry, prefix, found) {
  const path = prefix + entry.name;
  if (entry.isFile) {
    found.push({ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const one of some) await below(one, `${path}/`, found);
  }
}

const drop = byId("drop");
byId("files").addEventListener("change", (event) => {
  store([...event.target.files].map((file) => ({ path: file.name, file })));
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const found = [];
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
  for (const entry of entries.filter(Boolean)) await below(entry, "", found);
  store(found);
});
byId("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(byId("link").textContent);
  say("copied");
});
