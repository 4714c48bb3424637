// The time that is left of a change of the network that waits to be confirmed; when it is over the page is loaded again.
"use strict";
(() => {
  const place = document.querySelector("[data-waiting]");
  if (!place) return;
  const until = Date.now() + Number(place.dataset.waiting) * 1000;
  const said = place.querySelector("[data-waiting-left]");
  const timer = setInterval(() => {
    const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    said.textContent = `${left} s`;
    if (left) return;
    clearInterval(timer);
    // it goes back a moment later
    setTimeout(() => location.reload(), 1500);
  }, 1000);
})();
