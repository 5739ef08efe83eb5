// The page: a list of episodes, the chosen one, and another beside it.

const data = JSON.parse(document.getElementById("data").textContent);
const view = { chosen: 0, beside: null, step: null, task: "", outcome: "", words: "", menu: false };
const app = document.getElementById("app");
data.episodes.forEach((episode, index) => { episode.index = index; });

const textOf = (() => {
  const known = new WeakMap();
  return (step) => {
    if (!known.has(step)) {
      const diff = (step.diff || []).map(([, pieces]) => pieces.map(([, text]) => text).join("")).join("\n");
      known.set(step, [step.task, step.action, step.thought, diff, step.output, step.reply, step.outcome, step.run].join("\n").toLowerCase());
    }
    return known.get(step);
  };
})();

const filtered = () => Boolean(view.outcome || view.words || view.task);

function matches(step, episode) {
  if (view.task && step.task !== view.task) return false;
  if (view.outcome && step.outcome !== view.outcome && kindOf(step) !== view.outcome) return false;
  if (!view.words) return true;
  const text = `${episode.group}/${episode.name}\n${textOf(step)}`.toLowerCase();
  return view.words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

const shown = () => data.episodes.filter((one) => one.steps.some((step) => matches(step, one)));
const taskOf = (episode) => data.tasks[episode.steps[0].task] || {};

function gainOf(episode) {
  // Relative gain of the best score, as the paper reports it.
  const last = episode.steps[episode.steps.length - 1];
  if (!episode.sequence || last.best == null || last.initial == null || last.initial === 0) return null;
  const sign = taskOf(episode).higher_is_better === false ? -1 : 1;
  return (sign * (last.best - last.initial)) / Math.abs(last.initial);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);

// --- parts ---------------------------------------------------------------

function bar() {
  const tasks = Object.keys(data.tasks).sort();
  const option = (value, name, chosen) => h("option", { value, selected: value === chosen }, name);
  return h("header", { class: "bar" },
    h("button", { class: "menu", "aria-expanded": String(view.menu), onclick: () => { view.menu = !view.menu; draw(); } }, "☰ Episodes"),
    h("h1", null, data.title),
    h("div", { class: "controls" },
      h("input", { id: "search", type: "search", placeholder: "Search  ( / )", "aria-label": "Search steps", value: view.words,
        oninput: (event) => { view.words = event.target.value; refilter(); } }),
      tasks.length > 1 && h("select", { "aria-label": "Task", onchange: (event) => { view.task = event.target.value; refilter(); } },
        option("", "all tasks", view.task), tasks.map((task) => option(task, task, view.task))),
      h("select", { id: "outcome", "aria-label": "Outcome", onchange: (event) => { view.outcome = event.target.value; refilter(); } },
        option("", "all outcomes", view.outcome), option("better", "scored better", view.outcome), option("worse", "scored worse", view.outcome),
        Object.entries(OUTCOMES).map(([key, [name]]) => option(key, name, view.outcome))),
      h("button", { title: "Light or dark (t)", "aria-label": "Light or dark", onclick: theme }, "◐"),
      h("button", { title: "Keys (?)", "aria-label": "Keys", onclick: help }, "?")));
}

function list() {
  const episodes = shown(), groups = new Map();
  for (const one of episodes) {
    if (!groups.has(one.group)) groups.set(one.group, []);
    groups.get(one.group).push(one);
  }
  return h("nav", { class: view.menu ? "list open" : "list", "aria-label": "Episodes" },
    h("p", { class: "muted" }, `${episodes.length} of ${data.episodes.length} episodes`),
    [...groups].map(([group, members]) => h("section", null, group && group !== "." && h("h2", null, group), members.map(entry))),
    data.left_out.length > 0 && h("section", { class: "left-out" },
      h("h2", null, `${data.left_out.length} not on this page`),
      h("p", { class: "muted" }, "View these files by themselves, or raise --max-steps:"),
      data.left_out.slice(0, 200).map((path) => location.protocol === "file:" ? h("code", null, path)
        : h("a", { href: `/?file=${encodeURIComponent(path)}` }, path))),
    data.problems.length > 0 && h("details", { class: "problems" },
      h("summary", null, `${data.problems.length} lines could not be read`), data.problems.map((text) => h("p", null, text))));
}

function entry(one) {
  const gain = gainOf(one), tasks = new Set(one.steps.map((step) => step.task));
  const state = one.index === view.chosen ? "chosen" : one.index === view.beside ? "beside" : "";
  const strip = one.steps.slice(0, 40).map((step) => h("i", { class: kindOf(step) }));
  return h("button", { class: `entry ${state}`, "aria-current": String(one.index === view.chosen), onclick: () => choose(one.index) },
    h("span", { class: "name" }, one.name),
    gain != null && h("span", { class: `gain ${gain > 0 ? "better" : ""}` }, percent(gain)),
    h("span", { class: "muted" }, tasks.size === 1 && !one.name.includes([...tasks][0]) ? [...tasks][0] : `${one.steps.length} ${one.sequence ? "steps" : "samples"}`),
    h("span", { class: "strip", "aria-hidden": "true" }, strip));
}

function heading(one) {
  const task = taskOf(one), last = one.steps[one.steps.length - 1], gain = gainOf(one);
  const total = one.steps.reduce((sum, step) => sum + ((step.resources || {}).total_s || 0), 0);
  const rewards = one.steps.map((step) => step.reward).filter((value) => value != null);
  const fact = (name, value, title) => h("span", { class: "fact", title }, h("small", null, name), value);
  return h("div", { class: "heading" },
    h("div", null, h("h2", null, one.sequence ? task.title || one.steps[0].task : one.name),
      h("p", { class: "muted" }, [one.path, one.sequence && one.name].filter(Boolean).join(" · "))),
    h("div", { class: "facts" },
      one.sequence && task.metric && fact(`${task.metric} ${task.higher_is_better ? "↑" : "↓"}`, number(last.best), `best score; ${task.higher_is_better ? "higher" : "lower"} is better`),
      one.sequence && fact("starter", number(last.initial)),
      one.sequence && fact("reference", number(last.reference)),
      gain != null && fact("relative gain", percent(gain)),
      fact("mean reward", rewards.length ? number(mean(rewards), 3) : "none"),
      total > 0 && fact("time", seconds(total))));
}

function column(one, which) {
  const id = (index) => `s${which}-${index}`;
  return h("section", { class: "column", "aria-label": one.name },
    heading(one),
    which === 0 && view.beside == null && curve([one], taskOf(one), (_, index) => go(index)),
    h("div", { class: "steps" }, one.steps.map((step, index) =>
      stepCard(step, index, { id: id(index), dimmed: filtered() && !matches(step, one), sequence: one.sequence }))));
}

function compareBox(one) {
  const others = data.episodes.filter((other) => other !== one);
  if (!others.length) return null;
  const near = others.filter((other) => other.steps[0].task === one.steps[0].task);
  const rest = others.filter((other) => !near.includes(other));
  const option = (other) => h("option", { value: other.index, selected: other.index === view.beside }, `${other.group && other.group !== "." ? other.group + "/" : ""}${other.name}`);
  return h("label", { class: "compare" }, "Beside it ",
    h("select", { id: "beside", onchange: (event) => { view.beside = event.target.value === "" ? null : Number(event.target.value); draw(); } },
      h("option", { value: "" }, "nothing"),
      near.length > 0 && h("optgroup", { label: "same task" }, near.slice(0, 500).map(option)),
      rest.length > 0 && h("optgroup", { label: "other tasks" }, rest.slice(0, 500).map(option))));
}

function main() {
  const one = data.episodes[view.chosen], other = view.beside == null ? null : data.episodes[view.beside];
  const siblings = shown().filter((each) => each.steps[0].task === one.steps[0].task && each.sequence);
  const drawn = one.sequence ? tree(siblings, one, (episode, index) => { choose(episode.index); go(index); }) : null;
  const both = other && other.sequence === one.sequence && other.steps[0].task === one.steps[0].task;
  return h("main", null,
    h("div", { class: "tools" }, compareBox(one),
      h("span", { class: "legend" }, ["better", "worse", "same", "non_edit", "failed", "invalid"].map((kind) =>
        h("span", null, h("i", { class: kind }), kind === "same" ? "same score" : OUTCOMES[kind] ? OUTCOMES[kind][0] : kind)))),
    other && both && curve([one, other], taskOf(one), (which, index) => go(index, which)),
    drawn && h("details", { class: "card", ontoggle: showPath }, h("summary", null, `States that ${siblings.length} trajectories of this task passed through`), drawn),
    h("div", { class: other ? "columns two" : "columns" }, column(one, 0), other && column(other, 1)));
}

function showPath(event) {
  const scroll = event.target.querySelector(".scroll"), on = scroll && scroll.querySelectorAll(".dot.on");
  if (on && on.length) scroll.scrollTop = Number(on[on.length - 1].getAttribute("cy")) - scroll.clientHeight / 2;
}

// --- what changes the view -----------------------------------------------

function draw() {
  const places = app.querySelector(".list") ? app.querySelector(".list").scrollTop : 0;
  const focused = document.activeElement && document.activeElement.id;
  app.replaceChildren(bar(), h("div", { class: "body" }, list(), main()));
  app.querySelector(".list").scrollTop = places;
  if (focused === "search") document.getElementById("search").focus();
}

function refilter() {
  // The bar stays: who types must not lose the cursor.
  const episodes = shown();
  if (episodes.length && !episodes.some((one) => one.index === view.chosen)) view.chosen = episodes[0].index;
  const body = app.querySelector(".body");
  body.replaceChildren(list(), main());
}

function choose(index) {
  view.chosen = index;
  view.step = null;
  view.menu = false;
  if (view.beside === index) view.beside = null;
  draw();
  scrollTo(0, 0);
  history.replaceState(null, "", `#${index + 1}`);
}

function go(index, which = 0) {
  const card = document.getElementById(`s${which}-${index}`);
  if (!card) return;
  view.step = index;
  for (const each of document.querySelectorAll(".step.current")) each.classList.remove("current");
  card.classList.add("current");
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  history.replaceState(null, "", `#${view.chosen + 1}.${index + 1}`);
}

function theme() {
  const root = document.documentElement, dark = getComputedStyle(root).colorScheme.trim();
  const now = dark === "dark" || dark === "light" ? dark : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.style.colorScheme = now === "dark" ? "light" : "dark";
}

const KEYS = [["j  k", "next, previous step"], ["n  p", "next, previous episode"], ["/", "search"], ["c", "choose one to put beside it"], ["t", "light or dark"], ["Esc", "close, clear"]];

function help() {
  const box = h("dialog", { onclose: () => box.remove() }, h("h2", null, "Keys"),
    h("dl", null, KEYS.map(([keys, what]) => [h("dt", null, h("kbd", null, keys)), h("dd", null, what)])),
    h("button", { onclick: () => box.close() }, "Close"));
  document.body.append(box);
  box.showModal();
}

function neighbour(by) {
  const episodes = shown(), at = episodes.findIndex((one) => one.index === view.chosen);
  const next = episodes[Math.min(Math.max(at + by, 0), episodes.length - 1)];
  if (next && next.index !== view.chosen) choose(next.index);
}

function nextStep(by) {
  const one = data.episodes[view.chosen];
  let index = view.step == null ? (by > 0 ? 0 : one.steps.length - 1) : view.step + by;
  while (filtered() && one.steps[index] && !matches(one.steps[index], one)) index += by;
  go(index);
}

const ON_KEY = {
  j: () => nextStep(1), k: () => nextStep(-1), n: () => neighbour(1), p: () => neighbour(-1), t: theme, "?": help,
  "/": () => document.getElementById("search").focus(),
  c: () => { const box = document.getElementById("beside"); if (box) box.focus(); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog")) return;
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (event.key === "Escape") {
    if (event.target.id === "search") { view.words = event.target.value = ""; refilter(); }
    event.target.blur();
  } else if (!typing && ON_KEY[event.key]) {
    event.preventDefault();
    ON_KEY[event.key]();
  }
});

function openAddressed() {
  const [episode, step] = location.hash.slice(1).split(".").map(Number);
  if (episode >= 1 && episode <= data.episodes.length) view.chosen = episode - 1;
  draw();
  if (step >= 1) go(step - 1);
}

addEventListener("hashchange", openAddressed);
openAddressed();
