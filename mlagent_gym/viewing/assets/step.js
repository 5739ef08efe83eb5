// One step as a card.

const LONG_LINES = 24;

function stepCard(step, index, { dimmed, id, sequence }) {
  const kind = kindOf(step), [name, meaning] = OUTCOMES[step.outcome] || [step.outcome, ""];
  const target = step.input && (step.input.save_name || step.input.script_name || step.input.dir_path || step.input.file_name);
  return h("article", { class: `step ${kind} ${dimmed ? "dimmed" : ""}`, id, tabindex: -1 },
    h("header", null,
      h("span", { class: "bullet" }, String(sequence ? step.number || index + 1 : index + 1)),
      h("h3", null, step.action, target && h("code", null, target)),
      name && h("span", { class: `badge ${kind}`, title: meaning }, kind === "better" || kind === "worse" ? kind : name),
      !sequence && h("span", { class: "badge run" }, step.task),
      step.run && h("span", { class: "badge run" }, `run: ${step.run}`),
      h("span", { class: "grow" }),
      step.scored && step.score != null && h("span", { class: "fact" }, h("small", null, "score"), number(step.score)),
      step.reward != null && h("span", { class: "fact" }, h("small", null, "reward"), number(step.reward, 3))),
    step.thought && h("blockquote", null, step.thought),
    prose(step),
    step.diff && diffBlock(step.diff),
    step.output && folded("Output", step.output, "output"),
    step.explained && h("p", { class: "why" }, h("b", null, `Reward ${number(step.reward, 4)}`), ` ${step.explained}.`),
    facts(step),
    step.prompt && promptBlock(step.prompt),
    h("details", { class: "raw" }, h("summary", null, "Reply as written"), h("pre", null, step.reply || "(empty)")),
    step.ended && h("p", { class: "ended" }, `Episode ${step.ended}`));
}

function prose(step) {
  const rows = [...Object.entries(step.prose || {})];
  for (const [key, value] of Object.entries(step.input || {})) {
    if (!["script_name", "save_name", "dir_path", "file_name"].includes(key)) rows.push([key.replaceAll("_", " "), value]);
  }
  return rows.length > 0 && h("dl", null, rows.map(([key, value]) => [h("dt", null, key), h("dd", null, value)]));
}

function promptBlock(messages) {
  // Filled when it is opened: prompts are long, and there are as many as steps.
  const show = (event) => {
    if (!event.target.open || event.target.children.length > 1) return;
    event.target.append(...messages.flatMap(([role, parts]) => [
      h("small", null, role),
      h("pre", { tabindex: 0 }, parts.map((part) => data.passages[part]).join("\n\n"))]));
  };
  return h("details", { class: "raw prompt", ontoggle: show }, h("summary", null, "Prompt"));
}

function diffBlock(lines) {
  const counts = { "+": 0, "-": 0 };
  const rows = lines.map(([kind, pieces]) => {
    if (kind in counts) counts[kind]++;
    const marks = { "+": "add", "-": "del", "@": "hunk", f: "file" };
    const sign = kind === "+" || kind === "-" || kind === " " ? kind : "";
    return h("span", { class: `line ${marks[kind] || ""}` }, sign,
      pieces.map(([colour, text]) => (colour ? h("span", { class: `t-${colour}` }, text) : text)), "\n");
  });
  const title = ["Diff ", h("span", { class: "plus" }, `+${counts["+"]}`), " ", h("span", { class: "minus" }, `−${counts["-"]}`)];
  return h("details", { open: lines.length <= 80 }, h("summary", null, title), h("pre", { class: "diff", tabindex: 0 }, rows));
}

function folded(title, text, kind) {
  const lines = text.split("\n").length;
  return h("details", { open: lines <= LONG_LINES },
    h("summary", null, title, h("small", null, ` ${lines} ${lines === 1 ? "line" : "lines"}`)),
    h("pre", { class: kind, tabindex: 0 }, text));
}

function facts(step) {
  const chips = Object.entries(step.resources || {}).map(([key, value]) => resource(key, value));
  const more = Object.entries(step.facts || {});
  if (!chips.length && !more.length) return null;
  return h("div", { class: "chips" },
    chips.map(([key, value]) => h("span", null, h("small", null, key), value)),
    more.length > 0 && h("details", null, h("summary", null, "where"),
      h("div", { class: "chips" }, more.map(([key, value]) => h("span", null, h("small", null, key), value)))));
}
