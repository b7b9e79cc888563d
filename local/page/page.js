// Tables sort by the buttons in their headers, and show the rows that have what is typed above them.
"use strict";
const key = cell => cell.dataset.value ?? cell.textContent.trim();
const compare = (one, other) => {
  const [a, b] = [Number(one), Number(other)];
  if (one !== "" && other !== "" && !isNaN(a) && !isNaN(b)) return a - b;
  return (one === "") - (other === "") || one.localeCompare(other);
};
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const header = button.parentElement, row = header.parentElement, body = row.closest("table").tBodies[0];
    const column = [...row.cells].indexOf(header), down = header.ariaSort === "ascending";
    for (const other of row.cells) if (other.ariaSort) other.ariaSort = "none";
    header.ariaSort = down ? "descending" : "ascending";
    const rows = [...body.rows].map(line => [key(line.cells[column]), line]);
    rows.sort((a, b) => compare(a[0], b[0]) * (down ? -1 : 1));
    body.append(...rows.map(pair => pair[1]));
  });
}
for (const field of document.querySelectorAll("input[type=search]")) {
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of document.getElementById(field.getAttribute("aria-controls")).tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
    }
  });
}
