// SPDX-License-Identifier: Apache-2.0
// The theme's button, and the values under the pointer. Without this script the page has both: the system's theme, and tables.
"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  show();

  const short = (value) => {
    const size = Math.abs(value);
    const digits = Number.isInteger(value) || size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.995 ? 2 : 3;
    return value.toLocaleString("en", { maximumFractionDigits: digits });
  };
  const scaled = (value, units) => {
    const [size, unit] = units.find(([least]) => Math.abs(value) >= least) || units[units.length - 1];
    return `${short(value / size)} ${unit}`;
  };
  const formats = {
    us: (value) => scaled(value, [[1e6, "s"], [1e3, "ms"], [1, "µs"]]),
    bytes: (value) => scaled(value, [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "bytes"]]),
    per_s: (value) => `${short(value)}/s`,
    cores: (value) => `${short(value)} ${value === 1 ? "core" : "cores"}`,
  };
  const clock = (seconds) => {
    const whole = Math.round(seconds);
    const two = (value) => String(value).padStart(2, "0");
    return whole < 120 ? `${short(seconds)} s` : `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  };

  const numbers = (text) => (text ? text.split(",").map((each) => (each === "" ? null : Number(each))) : []);
  const nearest = (times, t) => {
    let low = 0;
    let high = times.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] < t) low = middle + 1;
      else high = middle;
    }
    return low > 0 && t - times[low - 1] < times[low] - t ? low - 1 : low;
  };

  for (const article of document.querySelectorAll("article")) {
    const times = numbers(article.dataset.times);
    for (const plot of article.querySelectorAll("svg.over-time")) {
      const figure = plot.closest("figure");
      const legend = figure.querySelector(".legend");
      const at = figure.querySelector(".at");
      const cursor = plot.querySelector(".cursor");
      const format = formats[legend.dataset.unit] || short;
      const rows = [...legend.children].map((item) => ({
        place: item.querySelector(".now"),
        most: item.querySelector(".now").textContent,
        values: numbers(item.dataset.values),
      }));
      const width = plot.viewBox.baseVal.width;
      const start = Number(plot.dataset.start);
      const end = Number(plot.dataset.end);
      const left = Number(plot.dataset.left);
      const inside = Number(plot.dataset.right) - left;
      plot.addEventListener("pointermove", (event) => {
        const box = plot.getBoundingClientRect();
        const x = ((event.clientX - box.left) / box.width) * width;
        const index = nearest(times, start + ((x - left) / inside) * (end - start));
        const there = left + ((times[index] - start) / (end - start)) * inside;
        cursor.setAttribute("x1", there);
        cursor.setAttribute("x2", there);
        cursor.classList.remove("off");
        at.textContent = `Values at ${clock(times[index])}.`;
        for (const row of rows) {
          const value = row.values[index];
          row.place.textContent = value === null || value === undefined ? "not measured" : format(value);
        }
      });
      plot.addEventListener("pointerleave", () => {
        cursor.classList.add("off");
        at.textContent = "";
        for (const row of rows) row.place.textContent = row.most;
      });
    }
  }
})();
