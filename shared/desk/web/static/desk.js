// Countdowns, a queue that renews itself, and forms that are sent once. Without this file every page works, too.
"use strict";

function clock(seconds) {
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours} h ${two(minutes)} min` : `${minutes} min ${two(Math.floor(seconds) % 60)} s`;
}

function countDown() {
  for (const shown of document.querySelectorAll("[data-until]")) {
    const left = (Date.parse(shown.dataset.until) - Date.now()) / 1000;
    shown.textContent = left > 0 ? clock(left) : shown.dataset.over;
    shown.classList.toggle("urgent", left < 300);
  }
}

// Puts the same part of another page in the place of one; returns whether that page could be read.
async function replaced(part, url) {
  try {
    const answer = await fetch(url, { credentials: "same-origin" });
    if (!answer.ok) return false;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
    if (page && !part.contains(document.activeElement)) part.replaceChildren(...page.childNodes);
    countDown();
    return Boolean(page);
  } catch (error) {
    return false;
  }
}

document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return; // nothing changes, and a page in another tab may be opened again
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => document.querySelectorAll("form").forEach((form) => delete form.dataset.sent));
countDown();
setInterval(countDown, 1000);
const queue = document.getElementById("cases");
if (queue) {
  const stale = document.getElementById("stale"), wait = () => setTimeout(again, 1000 * Number(queue.dataset.refresh));
  const again = async () => {
    const idle = document.hidden || queue.contains(document.activeElement); // the keyboard's place stays
    if (!idle) stale.hidden = await replaced(queue, location.href);
    wait();
  };
  wait();
}
const money = document.getElementById("money");
if (money && money.dataset.from) {
  const draw = () => replaced(money, money.dataset.from);
  if (document.hidden) document.addEventListener("visibilitychange", draw, { once: true }); // a tab in the background
  else draw();
}
