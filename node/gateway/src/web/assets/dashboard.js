// Shows what the daemon does: asks for it every two seconds, and says what has changed meanwhile.
"use strict";

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const EVENTS_MAX = 200;
const POINTS_MAX = 150;

function element(name, attributes, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

function drawn(name, attributes, title) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (title) {
    const told = document.createElementNS(SVG, "title");
    told.textContent = title;
    made.append(told);
  }
  return made;
}

const number = (value) => value.toLocaleString("en");
const short = (id) => id.slice(0, 8);

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  for (; value >= 1024 && unit + 1 < units.length; unit += 1) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function duration(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

async function ask(what) {
  const answer = await fetch(`/-/${what}`, { cache: "no-store" });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text.trim() || `the gateway answered ${answer.status}`);
  return JSON.parse(text);
}

function rows(body, lines) {
  body.replaceChildren(...lines.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell)))));
}

function facts(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, String(value))]));
}

// What has happened, the latest first.
function happened(text, kind) {
  const list = byId("events");
  const time = new Date().toLocaleTimeString("en-GB");
  list.prepend(element("li", { class: kind ?? "" }, `${time} ${text}`));
  while (list.children.length > EVENTS_MAX) list.lastChild.remove();
}

// Where an id stands on the ring: a share of the circle.
const turn = (id) => parseInt(id.slice(0, 12), 16) / 2 ** 48;
const place = (id, radius) => {
  const angle = 2 * Math.PI * turn(id);
  return [200 + radius * Math.sin(angle), 200 - radius * Math.cos(angle)];
};

const SHAPES = { alive: "alive", suspect: "suspect", dead: "dead", left: "left" };
let traced = null;

function ring(members) {
  const picture = byId("ring");
  const zones = [...new Set(members.map((member) => member.zone).filter(Boolean))].sort();
  const parts = [drawn("circle", { cx: 200, cy: 200, r: 170, class: "circle" })];
  for (const member of members) {
    const [x, y] = place(member.id, 170);
    const state = SHAPES[member.state] ?? "alive";
    const about = `${short(member.id)}: ${member.state}, ${member.role}${member.zone ? `, zone ${member.zone}` : ""}`;
    if (member.zone) {
      const [zx, zy] = place(member.id, 186);
      parts.push(drawn("circle", { cx: zx, cy: zy, r: 4, class: `zone zone${zones.indexOf(member.zone) % 6}` }));
    }
    if (member.role === "superpeer") {
      parts.push(drawn("rect", { x: x - 10, y: y - 10, width: 20, height: 20, class: "superpeer" }));
    }
    parts.push(drawn("circle", { cx: x, cy: y, r: member.is_self ? 9 : 6, class: `${state}${member.is_self ? " self" : ""}` }, about));
    // Not by colour alone.
    if (state === "dead") {
      parts.push(drawn("path", { d: `M${x - 5} ${y - 5} L${x + 5} ${y + 5} M${x - 5} ${y + 5} L${x + 5} ${y - 5}`, class: "cross" }));
    }
  }
  if (traced) {
    const self = members.find((member) => member.is_self);
    for (const hop of traced.hops) {
      const from = hop.named_by ?? self?.id;
      if (!from) continue;
      const [[ax, ay], [bx, by]] = [place(from, 170), place(hop.id, 170)];
      parts.push(drawn("line", { x1: ax, y1: ay, x2: bx, y2: by, class: hop.rtt_ms === undefined ? "hop silent" : "hop" }));
    }
    const [kx, ky] = place(traced.key, 150);
    parts.push(drawn("path", { d: `M${kx} ${ky - 7} L${kx + 7} ${ky} L${kx} ${ky + 7} L${kx - 7} ${ky} Z`, class: "key" }, `key ${short(traced.key)}`));
  }
  picture.replaceChildren(...parts);
  const count = (state) => members.filter((member) => member.state === state).length;
  picture.setAttribute("aria-label", `Ring of ${members.length} daemons: ${count("alive")} alive, ${count("suspect")} suspect, ${count("dead")} dead`);
  byId("legend").textContent = zones.length === 0 ? "" : `Zones (outer dots): ${zones.join(", ")}.`;
  rows(byId("members"), members.map((member) => [
    `${short(member.id)}${member.is_self ? " (this daemon)" : ""}`, member.state, member.role, member.zone ?? "",
    member.rtt_ms === undefined ? "" : `${member.rtt_ms.toFixed(1)} ms`,
  ]));
}

// How fast something grows, over the last minutes.
const rates = { sent: [], received: [] };
let counted = null;

function traffic(status) {
  const at = performance.now() / 1000;
  const now = { at, sent: status.traffic.sent_bytes, received: status.traffic.received_bytes };
  if (counted && at > counted.at) {
    for (const key of ["sent", "received"]) {
      rates[key].push(Math.max(0, now[key] - counted[key]) / (at - counted.at));
      if (rates[key].length > POINTS_MAX) rates[key].shift();
    }
  }
  counted = now;
  const most = Math.max(1024, ...rates.sent, ...rates.received);
  const line = (key) => rates[key].map((rate, point) => `${(point * 600 / (POINTS_MAX - 1)).toFixed(1)},${(98 - 94 * rate / most).toFixed(1)}`).join(" ");
  byId("sent").setAttribute("points", line("sent"));
  byId("received").setAttribute("points", line("received"));
  const last = (key) => bytes(Math.round(rates[key].at(-1) ?? 0));
  byId("rates").textContent = `sends ${last("sent")}/s (solid), receives ${last("received")}/s (dashed); the top is ${bytes(Math.round(most))}/s`;
}

function overview(status) {
  const reach = status.reachability;
  facts(byId("about"), [
    ["State", `${status.state} as a ${status.role}`],
    ["Reached", `${reach.state}${reach.reason ? `: ${reach.reason}` : ""}`],
    ["Daemons in the network", `${status.network_nodes_exact ? "" : "about "}${number(status.network_nodes)}`],
    ["Connections", `${number(status.connections)} of at most ${number(status.connections_max)}`],
    ["Holds", `${number(status.shards)} shards, ${bytes(status.disk_bytes)} of ${bytes(status.quota_bytes)} on disk`],
    ["Memory", bytes(status.rss_bytes)],
    ["Runs for", duration(status.uptime_seconds)],
    ["Version", status.version],
  ]);
  const { repair, scrub } = status;
  facts(byId("duties"), [
    ["Chunks looked after", number(repair.chunks)],
    ["At risk", number(repair.at_risk)],
    ["Shards missing", `${number(repair.degraded)} chunks`],
    ["Not readable", number(repair.unreadable)],
    ["Not known yet", number(repair.not_known_yet)],
    ["Repairs", `${number(repair.running)} run, ${number(repair.queued)} wait (${number(repair.queued_urgent)} urgent)`],
    ["Made again", `${number(repair.repaired_shards)} shards of ${number(repair.repaired_chunks)} chunks`],
    ["Scrub", scrub.shards > 0 || scrub.passes > 0 ? `${number(scrub.shards)} shards read, ${number(scrub.damaged)} damaged, ${number(scrub.passes)} passes` : "has not begun"],
  ]);
}

// What is different from the last time.
let before = null;

function changes({ status, members }) {
  const states = new Map(members.map((member) => [member.id, member]));
  if (before) {
    for (const [id, member] of states) {
      const was = before.states.get(id)?.state;
      if (was === member.state) continue;
      const bad = member.state === "dead" || member.state === "suspect";
      happened(was ? `${short(id)} is ${member.state}, was ${was}` : `${short(id)} is there (${member.state})`, bad ? "bad" : "good");
    }
    for (const id of before.states.keys()) if (!states.has(id)) happened(`${short(id)} is not known any more`);
    const [now, then] = [status.repair, before.status.repair];
    if (now.repaired_shards > then.repaired_shards) happened(`this daemon made ${number(now.repaired_shards - then.repaired_shards)} lost shards again`, "good");
    if (now.at_risk !== then.at_risk) happened(`${number(now.at_risk)} chunks are at risk, were ${number(then.at_risk)}`, now.at_risk > then.at_risk ? "bad" : "good");
    if (now.queued !== then.queued && now.queued > 0) happened(`${number(now.queued)} repairs wait`);
    if (status.state !== before.status.state) happened(`this daemon is ${status.state}`);
    if (status.role !== before.status.role) happened(`this daemon is a ${status.role} now`);
    if (status.disk_problem && !before.status.disk_problem) happened(`disk: ${status.disk_problem}`, "bad");
  }
  before = { status, states };
}

async function now() {
  const told = await ask("now.json");
  told.members.sort((a, b) => (a.id < b.id ? -1 : 1));
  changes(told);
  overview(told.status);
  ring(told.members);
  traffic(told.status);
}

async function doctor() {
  const { checks } = await ask("doctor.json");
  const wrong = checks.filter((check) => check.state === "warning" || check.state === "fault");
  byId("wrong").replaceChildren(...(wrong.length === 0
    ? [element("li", { class: "good" }, "Nothing is wrong.")]
    : wrong.map((check) => element("li", { class: "bad" }, `${check.check}: ${check.found}${check.remedy ? `. What to do: ${check.remedy}` : ""}`))));
}

async function kept() {
  const { objects, shown } = await ask("kept.json");
  byId("kept-count").textContent = objects === 0 ? "Nothing is kept." : objects > shown.length ? `${shown.length} of ${number(objects)}.` : "";
  rows(byId("kept"), shown.map(({ name, bytes: size, safety }) => {
    if (!safety) return [name, bytes(size), "not known now", ""];
    const { chunks, whole, unreadable, to_repair: repairs, waiting } = safety;
    const state = unreadable > 0 ? `${unreadable} of ${chunks} chunks cannot be read now`
      : whole === chunks ? "whole"
        : `${whole} of ${chunks} chunks whole, ${repairs} to be repaired, ${waiting} waited for`;
    const loss = safety.loss_is_floor ? "below 1 in a thousand million" : safety.loss_per_year.toPrecision(2);
    return [name, bytes(size), state, loss];
  }));
}

// Again and again, each a while after it has ended, and never while nobody looks.
function again(what, seconds) {
  const once = async () => {
    try {
      if (!document.hidden) {
        await what();
        byId("state").textContent = "";
      }
    } catch (error) {
      byId("state").textContent = `No news: ${error.message}`;
    }
    setTimeout(once, seconds * 1000);
  };
  once();
}

byId("trace").addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = byId("key").value.trim();
  const random = [...crypto.getRandomValues(new Uint8Array(32))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    byId("found").textContent = "looking";
    traced = await ask(`trace.json?key=${encodeURIComponent(given || random)}`);
    byId("found").textContent = `${short(traced.owner)}${traced.owner_is_self ? " (this daemon)" : ""} is nearest to ${short(traced.key)}: ${traced.messages} messages, ${traced.depth} hops, ${Math.round(traced.seconds * 1000)} ms`;
    rows(byId("hops"), traced.hops.map((hop) => [
      String(hop.depth), short(hop.id), hop.named_by ? short(hop.named_by) : "own table",
      hop.rtt_ms === undefined ? "no answer" : `${hop.rtt_ms.toFixed(1)} ms`,
    ]));
    await now();
  } catch (error) {
    byId("found").textContent = `not found: ${error.message}`;
  }
});

again(now, 2);
again(doctor, 30);
again(kept, 15);
