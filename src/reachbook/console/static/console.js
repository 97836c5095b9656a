// Improves pages that work without it: local times, copy buttons, and a guard of unsaved forms.
"use strict";

const UNITS = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]];

function ago(date) {
  const seconds = Math.round((Date.now() - date) / 1000);
  const format = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return format.format(-Math.round(seconds / size), unit);
  }
  return "just now";
}

for (const element of document.querySelectorAll("time[datetime]")) {
  const date = new Date(element.dateTime);
  const local = date.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  element.textContent = element.dataset.relative === undefined ? local : `${ago(date)} (${local})`;
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.innerHTML; // before a click, for a second click finds "Copied"
  button.hidden = false;
  button.addEventListener("click", async () => {
    source.select();
    try {
      await navigator.clipboard.writeText(source.value);
    } catch {
      document.execCommand("copy"); // a page over plain HTTP has no clipboard
    }
    button.focus(); // selecting the text took the focus from whoever uses the keyboard
    button.textContent = "Copied";
    setTimeout(() => { button.innerHTML = label; }, 2000);
  });
}

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  });
}
