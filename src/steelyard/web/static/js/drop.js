// A file may be dropped anywhere on its form; while something long is sent the button says so and is not pressed twice.
"use strict";
(() => {
  for (const form of document.querySelectorAll("form.upload, form[data-progress]")) {
    const file = form.querySelector("input[type=file]");
    const over = (on) => form.classList.toggle("over", on);
    if (file) {
      form.addEventListener("dragover", (event) => {
        event.preventDefault();
        over(true);
      });
      form.addEventListener("dragleave", () => over(false));
      form.addEventListener("drop", (event) => {
        event.preventDefault();
        over(false);
        if (event.dataTransfer.files.length) file.files = event.dataTransfer.files;
      });
    }
    form.addEventListener("submit", (event) => {
      if (form.classList.contains("busy")) return event.preventDefault();
      if (form.dataset.progress === undefined) return undefined;
      form.classList.add("busy");
      const button = form.querySelector(".btn.primary") || form.querySelector(".btn");
      button.textContent = "Working …";
      button.setAttribute("aria-busy", "true");
      return undefined;
    });
  }
})();
