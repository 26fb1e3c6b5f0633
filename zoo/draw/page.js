"use strict";
const about = document.getElementById("about");
const show = (event) => {
  const box = event.target.closest(".box");
  if (box) about.textContent = box.querySelector("title").textContent;
  else if (event.type === "click") about.textContent = "";
};
for (const kind of ["mouseover", "focusin", "click"]) document.addEventListener(kind, show);

// What is wider than the window begins with the net's first layer in the middle.
const begin = () => {
  for (const drawing of document.querySelectorAll(".drawing")) {
    const first = drawing.querySelector(".box")?.getBoundingClientRect();
    if (first?.width) drawing.scrollLeft += first.x + first.width / 2 - drawing.clientWidth / 2;
  }
};
document.addEventListener("change", begin);
begin();
