"use strict";

// Sorting: a cell's data-value where it has one, else its text; empty cells stay last in both directions.
function key(row, column) {
  const cell = row.cells[column];
  const value = cell.dataset.value ?? cell.textContent.trim();
  if (value === "") return null;
  const number = Number(value);
  return Number.isNaN(number) ? value.toLowerCase() : number;
}

function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}

function sort(header, column) {
  const body = header.closest("table").tBodies[0];
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  const rows = Array.from(body.rows, (row) => [key(row, column), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return ascending ? compare(a, b) : compare(b, a);
  });
  for (const other of header.closest("thead").querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  body.append(...rows.map(([, row]) => row));
}

for (const button of document.querySelectorAll("th button")) {
  const header = button.closest("th");
  button.addEventListener("click", () => sort(header, Number(header.dataset.column)));
}

function filter() {
  const task = document.querySelector("input[name=task]:checked").value;
  for (const part of document.querySelectorAll("[data-task]")) {
    part.hidden = task !== "" && part.dataset.task !== task;
  }
}

for (const choice of document.querySelectorAll("input[name=task]")) choice.addEventListener("change", filter);
filter();
