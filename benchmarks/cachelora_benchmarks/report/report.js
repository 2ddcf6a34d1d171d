// Moves what follows the threshold. Charts and first figures are already in the page; the figures come from the
// embedded cosines, which are whole numbers, so that they equal those that Python wrote.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { unit, models } = data;
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const slider = document.getElementById("threshold");
  const number = document.getElementById("threshold-number");
  const status = document.getElementById("status");

  // Halves are rounded up, in whole numbers.
  const percent = (part, whole) => {
    if (whole === 0) return "–";
    const tenths = Math.floor((2000 * part + whole) / (2 * whole));
    return `${Math.floor(tenths / 10)}.${tenths % 10}\u202f%`;
  };

  // Which places of either side belong to each group.
  const places = (side) => models.after[side].map((_, place) => place);
  const groups = [{ name: "all", positive: places("positive"), negative: places("negative") }];
  for (const [key, { names, ...sides }] of Object.entries(data.groups)) {
    names.forEach((_, group) => {
      const members = (side) => places(side).filter((place) => sides[side][place] === group);
      groups.push({ name: `${key}.${group}`, positive: members("positive"), negative: members("negative") });
    });
  }
  const best = Array.from(models.before.positive).sort((a, b) => b - a);

  // The chance of at most `wrong` of `count`, when each happens with probability p.
  const atMost = (wrong, count, p) => {
    const odds = Math.log(p) - Math.log1p(-p);
    let term = count * Math.log1p(-p);
    let sum = term;
    for (let i = 0; i < wrong; i += 1) {
      term += Math.log((count - i) / (i + 1)) + odds;
      sum = Math.max(sum, term) + Math.log1p(Math.exp(-Math.abs(sum - term)));
    }
    return Math.exp(sum);
  };
  // Clopper and Pearson's upper bound, one-sided, 95 %.
  const highestBound = (wrong, count) => {
    if (wrong === count) return 1;
    let [low, high] = [wrong / count, 1];
    for (let i = 0; i < 50; i += 1) {
      const middle = (low + high) / 2;
      if (atMost(wrong, count, middle) > 0.05) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  };

  const figuresAt = (threshold) => {
    const shown = { threshold: (threshold / unit).toFixed(3) };
    const shares = {};
    for (const [model, { positive, negative }] of Object.entries(models)) {
      const reaching = (cosines, members) => {
        let count = 0;
        for (const place of members) if (cosines[place] >= threshold) count += 1;
        return count;
      };
      for (const { name, positive: same, negative: miss } of groups) {
        const hits = reaching(positive, same);
        const wrong = reaching(negative, miss);
        const key = `${model}.${name}`;
        shown[`${key}.hit_rate`] = percent(hits, same.length);
        shown[`${key}.wrong_hit_rate`] = percent(wrong, miss.length);
        shown[`${key}.hits`] = String(hits);
        shown[`${key}.wrong_hits`] = String(wrong);
        shown[`${key}.precision`] = percent(hits, hits + wrong);
        shown[`${key}.hit_ratio`] = percent(hits + wrong, same.length + miss.length);
        if (name !== "all") continue;
        shares[model] = {
          hit_rate: hits / same.length,
          wrong_hit_rate: wrong / miss.length,
          hit_ratio: (hits + wrong) / (same.length + miss.length),
          precision: hits + wrong ? hits / (hits + wrong) : 1,
        };
        if (model === "after") {
          // Near misses with a common question stand and fall together, so a bound counts one of them.
          const bound = highestBound(reaching(negative, data.counted), data.counted.length);
          shown["after.bound"] = `${(100 * bound).toFixed(1)}\u202f%`;
          const limit = hits ? best[hits - 1] : Infinity;
          const alike = models.before.negative.filter((cosine) => cosine >= limit).length;
          shown["before.at_same_hits"] = percent(alike, miss.length);
        }
      }
    }
    return { shown, shares };
  };

  const figures = all("[data-figure]");
  const lines = all(".at-threshold");
  const dots = all(".at-rates");
  const decisions = all("[data-cosine]");
  const setText = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };
  const plane = (element) => {
    const set = element.closest("svg").dataset;
    return Object.fromEntries(["left", "span", "low", "high", "top", "rise"].map((key) => [key, Number(set[key])]));
  };

  let saying = 0;
  const show = (threshold) => {
    const { shown, shares } = figuresAt(threshold);
    for (const element of figures) setText(element, shown[element.dataset.figure]);
    for (const line of lines) {
      const { left, span, low, high } = plane(line);
      const share = Math.min(Math.max((threshold / unit - low) / (high - low), 0), 1);
      line.setAttribute("transform", `translate(${left + share * span} 0)`);
    }
    for (const dot of dots) {
      const { left, span, top, rise } = plane(dot);
      const at = shares[dot.dataset.model === "0" ? "before" : "after"];
      dot.setAttribute("cx", left + at[dot.dataset.x] * span);
      dot.setAttribute("cy", top + (1 - at[dot.dataset.y]) * rise);
    }
    for (const element of decisions) {
      const hit = Number(element.dataset.cosine) >= threshold;
      const same = element.dataset.same === "1";
      const [kind, words] = hit
        ? same ? ["right", "✓ hit"] : ["wrong", "✕ wrong hit"]
        : same ? ["missed", "○ missed hit"] : ["apart", "✓ kept apart"];
      if (element.dataset.decision !== kind) {
        element.dataset.decision = kind;
        setText(element, words);
      }
    }
    const sentence = `Hit rate ${shown["after.all.hit_rate"]}, wrong hits ${shown["after.all.wrong_hit_rate"]}`;
    slider.setAttribute("aria-valuetext", `${shown.threshold}. ${sentence}`);
    // Said once the slider rests: a sentence for every step would be noise.
    clearTimeout(saying);
    saying = setTimeout(() => setText(status, `Threshold ${shown.threshold}. ${sentence}.`), 600);
  };

  let waiting = 0;
  let wanted = data.threshold;
  const choose = (threshold, from) => {
    wanted = Math.min(Math.max(threshold, Number(slider.min)), Number(slider.max));
    if (from !== slider) slider.value = String(wanted);
    if (from !== number) number.value = (wanted / unit).toFixed(3);
    if (!waiting) {
      waiting = requestAnimationFrame(() => {
        waiting = 0;
        show(wanted);
      });
    }
  };

  slider.addEventListener("input", () => choose(Number(slider.value), slider));
  number.addEventListener("input", () => {
    const typed = Math.round(number.valueAsNumber * unit);
    if (Number.isFinite(typed)) choose(typed, number);
  });
  number.addEventListener("change", () => choose(wanted, null));
  for (const button of all("button[data-threshold]")) {
    button.hidden = false;
    button.addEventListener("click", () => choose(Number(button.dataset.threshold), button));
  }
  slider.disabled = false;
  number.disabled = false;
  // A browser may have kept the slider's place of an earlier visit.
  choose(data.threshold, null);
})();
