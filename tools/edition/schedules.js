// Chapter 2's explorer without Python: the schedules of sr3mini/schedule.py, computed and drawn in the browser.
// tests/test_edition.py holds every table against the package's.
"use strict";

const TRAINED = 2000; // steps of the schedule that "respaced" keeps some of

// n numbers whose root of order `power` rises evenly
function ramp(n, first, last, power = 1) {
  const [low, high] = [first ** (1 / power), last ** (1 / power)];
  return Array.from({ length: n }, (_, i) => (n === 1 ? low : low + ((high - low) * i) / (n - 1)) ** power);
}

// Tables of T + 1 entries, entry 0 equal to 1: the index is t.
function fromAlphas(list) {
  const alphas = [1, ...list];
  const gammas = [1];
  list.forEach((alpha, i) => gammas.push(gammas[i] * alpha));
  return { alphas, gammas };
}

function fromGammas(list) {
  const gammas = [1, ...list];
  return { gammas, alphas: [1, ...list.map((gamma, i) => gamma / gammas[i])] };
}

const keep = (noise) => noise.map((n) => 1 - n);

function fibonacciNoise(steps, start) {
  const noise = [];
  for (let n = start, next = 2 * start; noise.length < steps && n < 1; [n, next] = [next, n + next]) noise.push(n);
  return noise;
}

// What the controls ask for: the tables, a title, and a note on the controls that this family leaves unused.
function explored(family, T, start, end) {
  const range = `1 − α from ${label(start)} to ${label(end)}`;
  let [noise, title, note] = [[], `${family}, T = ${T}, ${range}`, ""];
  if (family === "linear") noise = ramp(T, start, end);
  else if (family === "quadratic") noise = ramp(T, start, end, 2);
  else if (family === "constant") {
    noise = ramp(T, end, end);
    [title, note] = [`constant, T = ${T}, 1 − α = ${label(end)}`, "start is not used"];
  } else if (family === "warmup") {
    const rising = Math.max(1, Math.floor(T * 0.1));
    noise = [...ramp(rising, start, end), ...Array(T - rising).fill(end)];
  } else if (family === "cosine") {
    const g = Array.from({ length: T + 1 }, (_, t) => Math.cos((((t / T + 0.008) / 1.008) * Math.PI) / 2) ** 2);
    noise = g.slice(1).map((value, i) => 1 - Math.max(value / g[i], 0.001));
    [title, note] = [`cosine, T = ${T}`, "start and end are not used"];
  } else if (family === "fibonacci") {
    noise = fibonacciNoise(T, start);
    title = `fibonacci, T = ${noise.length}, 1 − α from ${label(start)}`;
    note = noise.length < T ? "end is not used, and T stops where 1 − α would pass 1" : "end is not used";
  } else {
    const whole = fromAlphas(keep(ramp(TRAINED, start, end))).gammas;
    const kept = Array.from({ length: T }, (_, i) => whole[Math.round(((i + 1) * TRAINED) / T)]);
    return { ...fromGammas(kept), note, title: `${T} levels of a linear schedule, T = ${TRAINED}, ${range}` };
  }
  return { ...fromAlphas(keep(noise)), title, note };
}

// As Python writes a number with :g
function label(value) {
  if (value !== 0 && Math.abs(value) < 1e-4) return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  return String(Number(value.toPrecision(6)));
}

const logSnr = (gamma) => Math.log(gamma) - Math.log1p(-gamma);

// p(gamma) on segment t, for t = 1..T
const density = ({ gammas }) => gammas.slice(1).map((gamma, i) => 1 / ((gammas.length - 1) * (gammas[i] - gamma)));

// y_t = sqrt(gamma) y_0 + sqrt(1 - gamma) eps
function diffuse(y0, gamma, eps) {
  const [signal, noise] = [Math.sqrt(gamma), Math.sqrt(1 - gamma)];
  return y0.map((value, i) => signal * value + noise * eps[i]);
}

// Standard normal numbers, always the same ones (mulberry32, Box and Muller)
function normals(n, seed) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
  return Float64Array.from({ length: n }, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}

// -- drawing

const [BLUE, RED, GREY] = ["#0072B2", "#D55E00", "#999999"];

// One curve on a canvas. x, y: {min, max, log, ticks: [[value, label], ...]}; mark: a point, or an upright line when it has no y.
function plot(canvas, title, points, x, y, mark) {
  const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio || 1];
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const [left, top, right, bottom] = [40, 22, width - 12, height - 20];
  const place = (axis, low, high) => (value) => {
    const [v, a, b] = (axis.log ? [value, axis.min, axis.max].map(Math.log10) : [value, axis.min, axis.max]);
    return low + ((high - low) * (Math.min(Math.max(v, a - 1e3), b + 1e3) - a)) / (b - a);
  };
  const [px, py] = [place(x, left, right), place(y, bottom, top)];
  pen.font = "11px system-ui, 'DejaVu Sans', sans-serif";
  pen.fillStyle = "#1c1c1c";
  pen.textAlign = "center";
  pen.fillText(title, (left + right) / 2, 13);
  x.ticks.forEach(([value, name]) => pen.fillText(name, px(value), height - 5));
  pen.textAlign = "right";
  y.ticks.forEach(([value, name]) => pen.fillText(name, left - 4, py(value) + 4));
  pen.strokeStyle = GREY;
  pen.strokeRect(left, top, right - left, bottom - top);
  pen.save();
  pen.beginPath();
  pen.rect(left, top, right - left, bottom - top);
  pen.clip();
  pen.lineWidth = 1.6;
  pen.strokeStyle = BLUE;
  pen.beginPath();
  points.forEach(([a, b], i) => (i ? pen.lineTo(px(a), py(b)) : pen.moveTo(px(a), py(b))));
  pen.stroke();
  if (mark && mark.length === 1) {
    pen.strokeStyle = RED;
    pen.beginPath();
    pen.moveTo(px(mark[0]), top);
    pen.lineTo(px(mark[0]), bottom);
    pen.stroke();
  }
  pen.restore();
  if (mark && mark.length === 2) {
    pen.fillStyle = RED;
    pen.beginPath();
    pen.arc(px(mark[0]), py(mark[1]), 4.5, 0, 2 * Math.PI);
    pen.fill();
  }
}

function paint(canvas, { channels, side }, values) {
  [canvas.width, canvas.height] = [side, side];
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round((values[(channels === 3 ? c : 0) * side * side + i] + 1) * 127.5); // the array clips
    image.data[4 * i + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
}

function element(kind, className, parent) {
  const made = document.createElement(kind);
  made.className = className;
  parent.append(made);
  return made;
}

function explorer(box, data) {
  box.querySelector("figure").remove();
  const shown = element("div", "explorer", box);
  shown.setAttribute("role", "img");
  const [title, at, note] = ["title", "at", "note"].map((name) => element("p", name, shown));
  const view = element("div", "view", shown);
  const [plots, noised] = [element("div", "plots", view), element("div", "noised", view)];
  const curves = Array.from({ length: 4 }, () => element("canvas", "", plots));
  const pictures = data.pictures.map((picture, i) => {
    const y0 = Float64Array.from(atob(picture.bytes), (c) => c.charCodeAt(0) / 127.5 - 1);
    return { ...picture, y0, eps: normals(y0.length, i + 1), canvas: element("canvas", "", noised) };
  });

  let now = [];
  const show = (places) => {
    now = [...places];
    const [family, T, start, end, percent] = data.controls.map((control, i) => control.values[places[i]]);
    const schedule = explored(family, T, start, end);
    const { alphas, gammas } = schedule;
    const last = alphas.length - 1;
    const t = Math.floor((last * percent + 50) / 100);
    const snr = gammas.map(logSnr);
    const number = (value, digits) => String(Number(value.toPrecision(digits)));
    const read = `γ = ${number(gammas[t], 3)} and log-SNR = ${Number.isFinite(snr[t]) ? snr[t].toFixed(1) : "infinite"}`;
    title.textContent = schedule.title;
    at.textContent = `t = ${t}: α = ${number(alphas[t], 6)}, ${read}. γ at T: ${number(gammas[last], 3)}.`;
    note.textContent = schedule.note;
    shown.setAttribute(
      "aria-label",
      `Curves of the noise added in each step, the level, the log-SNR and p(γ), and ${pictures.length} pictures noised at step t. ${title.textContent}. ${at.textContent} ${note.textContent}`,
    );
    const steps = { min: -0.02 * last, max: 1.02 * last, ticks: [[0, "0"], [last, String(last)]] };
    const along = (values) => values.slice(1).map((value, i) => [i + 1, value]);
    const mark = (values) => (t > 0 ? [t, values[t]] : null);
    const noise = alphas.map((alpha) => 1 - alpha);
    plot(curves[0], "noise added, 1 − αₜ", along(noise), steps, { min: 3e-7, max: 2, log: true, ticks: [[1e-6, "1e-6"], [1e-4, "1e-4"], [0.01, "0.01"], [1, "1"]] }, mark(noise));
    plot(curves[1], "signal left, γₜ", along(gammas), steps, { min: -0.04, max: 1.04, ticks: [[0, "0"], [0.5, "0.5"], [1, "1"]] }, mark(gammas));
    plot(curves[2], "log-SNR against t", along(snr), steps, { min: -21, max: 16, ticks: [[-20, "−20"], [-10, "−10"], [0, "0"], [10, "10"]] }, mark(snr));
    const stairs = density(schedule).flatMap((height, i) => [[gammas[i], height], [gammas[i + 1], height]]);
    plot(curves[3], "density p(γ) of the level", stairs, { min: -0.03, max: 1.03, ticks: [[0, "0"], [1, "1"]] },
      { min: 0.03, max: 2e5, log: true, ticks: [[0.1, "0.1"], [10, "10"], [1000, "1000"], [1e5, "1e5"]] }, [gammas[t]]);
    pictures.forEach((picture) => paint(picture.canvas, picture, diffuse(picture.y0, gammas[t], picture.eps)));
  };
  controls(box, data.controls, show);
  window.addEventListener("resize", () => show(now));
}
