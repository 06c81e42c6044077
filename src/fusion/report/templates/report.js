"use strict";
// Sorts score tables by a column, and shows or hides models in tables and drawings. The page is complete without it.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    if (column === 0) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.title = "Sort by this column";
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const next = { null: "descending", descending: "ascending", ascending: null }[head.getAttribute("aria-sort")];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      let rows = original;
      if (next) {
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        const order = (row) => Number(row.cells[column].dataset.order ?? NaN);
        rows = [...original].sort((a, b) => {
          const [left, right] = [order(a), order(b)];
          if (Number.isNaN(left) || Number.isNaN(right)) return Number.isNaN(left) - Number.isNaN(right);
          return sign * (left - right);
        });
      }
      body.append(...rows);
    });
  });
}
for (const toggles of document.querySelectorAll(".toggles")) {
  toggles.hidden = false;
  toggles.addEventListener("change", (event) => {
    for (const part of document.querySelectorAll("[data-model]")) {
      if (part.dataset.model === event.target.value) part.classList.toggle("off", !event.target.checked);
    }
  });
}
