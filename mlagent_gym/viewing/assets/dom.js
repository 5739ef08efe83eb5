// Building blocks. Text only ever becomes text nodes; nothing is parsed as markup.

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child != null && child !== false && child !== "") node.append(child);
  }
  return node;
}

const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);
const svg = (tag, props, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);

function number(value, digits = 5) {
  if (value == null) return "none";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(3);
  return String(Number(value.toPrecision(digits)));
}

const percent = (value) => `${value >= 0 ? "+" : "−"}${Math.abs(100 * value).toFixed(1)} %`;

function seconds(value) {
  if (value < 1) return `${Math.round(1000 * value)} ms`;
  return value < 120 ? `${value.toFixed(1)} s` : `${(value / 60).toFixed(1)} min`;
}

const RESOURCES = {
  total_s: "time", act_s: "acting", grade_s: "grading", queued_s: "waiting", cpu_s: "processor",
  policy_s: "policy", queue_s: "queue", env_s: "environment", peak_memory_mb: "peak memory",
  written_mb: "written", editor_tokens: "editor tokens", editor_cost: "editor cost",
  prompt_tokens: "prompt tokens", completion_tokens: "reply tokens", cost: "cost",
};

function resource(key, value) {
  const name = RESOURCES[key] || key;
  if (key.endsWith("_s")) return [name, seconds(value)];
  if (key.endsWith("_mb")) return [name, `${number(value, 3)} MB`];
  return [name, key.includes("cost") ? `$${number(value, 3)}` : number(value, 6)];
}

const OUTCOMES = {
  scored: ["scored", "an edit that ran and was graded"],
  non_edit: ["no edit", "a valid action that changes no script"],
  failed: ["failed", "the script failed, or left no valid submission"],
  invalid: ["invalid", "no action that could be carried out"],
  corner_case: ["corner case", "a limit, a missing package or no answer from the editor"],
  lost: ["lost", "the machine failed; no reward"],
};

const kindOf = (step) => {
  if (step.outcome !== "scored" || step.gain == null) return step.outcome || "non_edit";
  return step.gain > 0 ? "better" : step.gain < 0 ? "worse" : "same";
};
