// Run inside the page by test_browser.py: measures what a person would see.
const told = { width: innerWidth, scroll: document.documentElement.scrollWidth, ready: 0, wide: [], small: [] };
told.ready = document.querySelectorAll('.plot[data-ready="yes"]').length;
for (const node of document.querySelectorAll("main *")) {
  const box = node.getBoundingClientRect();
  if (box.right > innerWidth + 1 && !node.closest(".scroll, pre")) told.wide.push(node.tagName + "." + node.getAttribute("class"));
}
for (const text of document.querySelectorAll("svg text")) {
  if (!text.getClientRects().length) continue;
  const svg = text.ownerSVGElement;
  if (!svg.viewBox.baseVal || !svg.viewBox.baseVal.width) continue;
  const size = parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  if (size < 10.5) told.small.push(text.textContent + " " + size);
}
const tips = [];
for (const plot of document.querySelectorAll(".plot[data-mode]")) {
  plot.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  const tip = plot.querySelector(".tip"), a = tip.getBoundingClientRect(), b = plot.getBoundingClientRect();
  tips.push({ seen: getComputedStyle(tip).visibility, text: tip.textContent, inside: a.left >= b.left - 1 && a.right <= b.right + 1 });
  plot.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
  tips.at(-1).after = getComputedStyle(tip).visibility;
}
told.tips = tips;
const lum = (c) => { const v = c.match(/[0-9.]+/g).slice(0, 3).map((x) => x / 255).map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)); return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
const paper = lum(getComputedStyle(document.body).backgroundColor);
told.faint = [];
for (const node of document.querySelectorAll("main *, header *, nav *, footer *")) {
  if (!node.getClientRects().length || ![...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim())) continue;
  const style = getComputedStyle(node), own = lum(node.closest("svg") && node.tagName === "text" ? style.fill : style.color);
  const ratio = (Math.max(own, paper) + 0.05) / (Math.min(own, paper) + 0.05);
  if (ratio < 4.5) told.faint.push(node.tagName + "." + node.getAttribute("class") + " " + ratio.toFixed(2));
}
told.dark = matchMedia('(prefers-color-scheme: dark)').matches;
