"use strict";
const valueOf = (row, column) => {
  const order = row.cells[column].dataset.order;
  const number = Number.parseFloat(order);
  return Number.isNaN(number) ? order : number;
};
const before = (one, other) => {
  if (one === other) return 0;
  if (one === "") return 1;
  if (other === "") return -1;
  return typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other));
};
for (const head of document.querySelectorAll("thead th")) {
  head.querySelector("button").addEventListener("click", () => {
    const descending = head.getAttribute("aria-sort") !== "descending" && head.classList.contains("number")
      || head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = head.closest("table").tBodies[0];
    const empty = (row) => valueOf(row, head.cellIndex) === "";
    const rows = [...body.rows].sort((one, other) => {
      if (empty(one) || empty(other)) return empty(one) - empty(other);
      const order = before(valueOf(one, head.cellIndex), valueOf(other, head.cellIndex));
      return descending ? -order : order;
    });
    body.append(...rows);
  });
}
const dialog = document.querySelector("dialog");
if (dialog) {
  let shots = [];
  let at = 0;
  const show = (index) => {
    at = (index + shots.length) % shots.length;
    const picture = shots[at].querySelector("img");
    dialog.querySelector("img").src = picture.src;
    dialog.querySelector("img").alt = picture.alt;
    dialog.querySelector("p").textContent = shots[at].closest("figure").querySelector("figcaption").textContent;
  };
  for (const shot of document.querySelectorAll(".shot")) {
    shot.addEventListener("click", () => {
      shots = [...shot.closest(".strip").querySelectorAll(".shot")];
      dialog.showModal();
      show(shots.indexOf(shot));
    });
  }
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(at + 1);
    if (event.key === "ArrowLeft") show(at - 1);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => shots[at]?.focus());
}
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
