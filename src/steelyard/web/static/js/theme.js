// Dark or light. The choice is a cookie, so that the server draws the page in it from the start.
"use strict";
(() => {
  const root = document.documentElement;
  const systemIsDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const now = root.dataset.theme || (systemIsDark() ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    document.cookie = `steelyard-theme=${root.dataset.theme}; path=/; max-age=31536000; secure; samesite=strict`;
    document.dispatchEvent(new CustomEvent("steelyard:theme"));
  });
})();
