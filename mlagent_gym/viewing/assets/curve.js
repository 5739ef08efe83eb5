// The score curve: the score after each step, the best so far, and both ends of the scale.

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
}

function curve(episodes, task, onPick) {
  const narrow = innerWidth < 600;
  const [W, H] = narrow ? [400, 220] : [760, 230], left = 62, right = 14, top = 14, bottom = 30;
  const sequence = episodes.every((one) => one.sequence);
  const value = (step) => (sequence ? step.score : step.reward);
  const values = [], higher = task.higher_is_better !== false;
  const ends = [];
  for (const one of episodes) {
    for (const step of one.steps) if (value(step) != null) values.push(value(step));
    const first = one.steps[0];
    if (sequence && ends.length === 0 && first) {
      if (first.initial != null) ends.push(["starter", first.initial]);
      if (first.reference != null) ends.push(["reference", first.reference]);
    }
  }
  if (!values.length) return null;
  let low = Math.min(...values), high = Math.max(...values);
  if (ends.length) {
    low = Math.min(low, ends[0][1]);
    high = Math.max(high, ends[0][1]);
    // The reference is shown only where it does not flatten the curve.
    const span = Math.max(high - low, 1e-12), far = ends[1] && ends[1][1];
    if (far != null && Math.max(high, far) - Math.min(low, far) < 8 * span) {
      low = Math.min(low, far);
      high = Math.max(high, far);
    }
  }
  if (high === low) [low, high] = [low - Math.abs(low || 1) * 0.05, high + Math.abs(high || 1) * 0.05];
  const pad = 0.05 * (high - low);
  [low, high] = [low - pad, high + pad];
  const unit = niceStep((high - low) / 4);
  const count = Math.max(2, ...episodes.map((one) => one.steps.length + (sequence ? 1 : 0)));
  const x = (i) => left + ((W - left - right) * i) / (count - 1);
  const y = (v) => top + ((H - top - bottom) * (high - v)) / (high - low);
  const parts = [];
  for (let i = Math.ceil(low / unit); i * unit <= high; i++) {
    const v = i * unit;
    parts.push(
      svg("line", { class: "grid", x1: left, x2: W - right, y1: y(v), y2: y(v) }),
      svg("text", { class: "tick", x: left - 8, y: y(v) + 4, "text-anchor": "end" }, number(Number(v.toPrecision(6)), 5)),
    );
  }
  const every = Math.ceil(count / (narrow ? 8 : 16));
  for (let i = 0; i < count; i += every) {
    parts.push(svg("text", { class: "tick", x: x(i), y: H - 10, "text-anchor": "middle" }, String(sequence ? i : i + 1)));
  }
  for (const [name, v] of ends) {
    if (v < low || v > high) continue;
    parts.push(
      svg("line", { class: `end ${name}`, x1: left, x2: W - right, y1: y(v), y2: y(v) }),
      svg("text", { class: `tick ${name}`, x: W - right - 4, y: y(v) - 5, "text-anchor": "end" }, name),
    );
  }
  episodes.forEach((one, which) => parts.push(...line(one, which)));

  function line(one, which) {
    const drawn = [], points = [];
    const start = sequence && one.steps[0] ? one.steps[0].initial : null;
    if (start != null) points.push([x(0), start]);
    one.steps.forEach((step, i) => {
      if (value(step) != null) points.push([x(sequence ? i + 1 : i), value(step), step, i]);
    });
    if (sequence && points.length > 1) {
      let best = points[0][1], d = `M${points[0][0]},${y(best)}`;
      for (const [px, v] of points.slice(1)) {
        if (higher ? v > best : v < best) best = v;
        d += `H${px}V${y(best)}`;
      }
      drawn.push(svg("path", { class: `best series${which}`, d }));
      drawn.push(svg("path", { class: `score series${which}`, d: "M" + points.map(([px, v]) => `${px},${y(v)}`).join("L") }));
    }
    for (const [px, v, step, i] of points) {
      if (!step) continue;
      const label = `step ${step.number || i + 1}: ${number(v)} (${step.action})`;
      drawn.push(svg("circle", {
        class: `dot ${kindOf(step)} series${which}`, cx: px, cy: y(v), r: step.scored ? 5.5 : 3.5,
        onclick: () => onPick(which, i),
      }, svg("title", null, label)));
    }
    return drawn;
  }
  const said = sequence ? `Score after each step; ${higher ? "higher" : "lower"} is better` : "Reward of each sample";
  return h("figure", { class: "curve" },
    svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": said }, parts),
    h("figcaption", null, said, sequence && h("span", { class: "key" }, h("i", { class: "k-best" }), "best so far")));
}
