// What can be played with: controls above a picture. Each combination of places has a picture that was drawn when the page was made.
"use strict";

// Makes the controls, and calls show(places) now and whenever one of them is moved; places are positions in the lists of values.
function controls(box, list, show) {
  const places = list.map((control) => control.start);
  const rows = document.createElement("div");
  rows.className = "controls";
  list.forEach((control, i) => {
    const row = document.createElement("label");
    const input = document.createElement(control.menu ? "select" : "input");
    const said = document.createElement("output");
    if (control.menu) {
      control.labels.forEach((label) => input.add(new Option(label)));
      input.selectedIndex = control.start;
    } else {
      Object.assign(input, { type: "range", min: 0, max: control.labels.length - 1, step: 1 });
      input.value = control.start;
    }
    const say = () => {
      const label = control.labels[places[i]];
      if (!control.menu) {
        said.textContent = label;
        input.setAttribute("aria-valuetext", label);
      }
    };
    input.addEventListener("input", () => {
      places[i] = control.menu ? input.selectedIndex : Number(input.value);
      say();
      show(places);
    });
    const name = document.createElement("span");
    name.textContent = control.label;
    row.append(name, input, said);
    rows.append(row);
    say();
  });
  box.prepend(rows);
  show(places);
}

function frames(box, data) {
  const picture = box.querySelector("img");
  controls(box, data.controls, (places) => {
    const frame = places.reduce((index, place, i) => index * data.controls[i].labels.length + place, 0);
    [picture.src, picture.alt] = data.frames[frame];
  });
}

// On a narrow screen a tap shows a picture at its own size, and another one makes it fit again.
document.querySelectorAll("figure img").forEach((picture) => picture.addEventListener("click", () => picture.classList.toggle("large")));
document.querySelectorAll(".play").forEach((box) => {
  const data = JSON.parse(box.querySelector("script").textContent);
  if (box.dataset.kind === "frames") frames(box, data);
  else explorer(box, data);
});
