// Read-outs under the pointer, the finger, or the arrow keys.  Text goes in as textContent, never as markup.
(() => {
  "use strict";
  const put = (parent, name, attributes) => {
    const node = document.createElementNS(parent.namespaceURI, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    return parent.appendChild(node);
  };
  const percent = (v) => (v < 0 ? "−" : "+") + Math.abs(v).toFixed(2) + "%";
  const line = (tip, cls, left, right) => {
    const row = tip.appendChild(document.createElement(right === undefined ? "b" : "span"));
    row.className = cls;
    if (right === undefined) { row.textContent = left; return; }
    row.appendChild(document.createElement("i")).textContent = left;
    row.appendChild(document.createElement("i")).textContent = right;
  };

  for (const plot of document.querySelectorAll(".plot[data-mode]")) {
    const data = JSON.parse(plot.querySelector("script").textContent);
    const time = plot.dataset.mode === "time";
    const tip = plot.querySelector(".tip");
    const order = data.x.map((_, i) => i).sort((a, b) => data.x[a] - data.x[b]);
    let at = -1;

    const shown = () => [...plot.querySelectorAll("svg")].find((svg) => svg.getClientRects().length);
    const scales = (svg) => {
      const d = Object.fromEntries(Object.entries(svg.dataset).map(([k, v]) => [k, Number(v)]));
      return {
        x: (v) => d.x0 + ((v - d.v0) / (d.v1 - d.v0)) * (d.x1 - d.x0),
        y: (v) => d.y0 + ((v - d.w0) / (d.w1 - d.w0)) * (d.y1 - d.y0),
        top: Math.min(d.y0, d.y1), bottom: Math.max(d.y0, d.y1),
      };
    };
    const clear = () => {
      at = -1;
      tip.style.visibility = "hidden";
      plot.querySelectorAll(".hover").forEach((node) => node.remove());
    };
    const show = (i) => {
      clear();
      const svg = shown();
      if (!svg || i < 0 || i >= data.x.length) return;
      at = i;
      const s = scales(svg);
      const group = put(svg, "g", { class: "hover" });
      const x = s.x(data.x[i] + (time ? data.step : 0));
      let y = s.top;
      tip.textContent = "";
      if (time) {
        put(group, "line", { x1: x, x2: x, y1: s.top, y2: s.bottom, class: "cursor" });
        line(tip, "", new Date(data.x[i]).toISOString().slice(0, 10));
        for (const one of data.series) {
          if (one.y[i] === null) continue;
          put(group, "circle", { cx: x, cy: s.y(one.y[i]), r: 4.5, class: "spot dot " + one.cls });
          line(tip, one.cls, one.name, percent(one.y[i]));
        }
      } else {
        y = s.y(data.y[i]);
        put(group, "circle", { cx: x, cy: y, r: 8, class: "ring" });
        data.text[i].forEach((words) => line(tip, "", words));
      }
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      const room = plot.clientWidth - tip.offsetWidth;
      const right = x * scale + 14;
      const left = right > room ? x * scale - tip.offsetWidth - 14 : right;
      tip.style.left = Math.max(0, Math.min(room, left)) + "px";
      tip.style.top = Math.max(0, y * scale - (time ? 0 : 30)) + "px";
      tip.style.visibility = "visible";
    };
    const nearest = (event) => {
      const svg = shown(), s = scales(svg), box = svg.getBoundingClientRect();
      const scale = box.width / svg.viewBox.baseVal.width;
      const px = (event.clientX - box.left) / scale, py = (event.clientY - box.top) / scale;
      let best = -1, least = Infinity;
      data.x.forEach((value, i) => {
        const dx = s.x(value + (time ? data.step : 0)) - px;
        const distance = time ? Math.abs(dx) : Math.hypot(dx, s.y(data.y[i]) - py);
        if (distance < least) [best, least] = [i, distance];
      });
      return time || least < 40 ? best : -1;
    };
    const follow = (event) => { const i = nearest(event); if (i !== at) { if (i < 0) clear(); else show(i); } };
    plot.addEventListener("pointermove", follow);
    plot.addEventListener("pointerdown", follow);
    plot.addEventListener("pointerleave", clear);
    plot.addEventListener("blur", clear);
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === "Escape") clear();
      if (!step || !order.length) return;
      event.preventDefault();
      const place = at < 0 ? (step > 0 ? -1 : order.length) : order.indexOf(at);
      show(order[Math.max(0, Math.min(order.length - 1, place + step))]);
    });
    plot.dataset.ready = "yes";
  }
})();
