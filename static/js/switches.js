// A part of a form that is off is put aside: its fields can be neither reached nor sent.
(() => {
  const follow = (box) => {
    const fields = document.getElementById(box.dataset.switch);
    if (!fields) return;
    fields.hidden = !box.checked;
    fields.querySelectorAll("input, select, textarea").forEach((field) => { field.disabled = !box.checked; });
  };
  document.querySelectorAll("[data-switch]").forEach((box) => {
    box.addEventListener("change", () => follow(box));
    follow(box);
  });
  document.querySelector("[aria-invalid='true']")?.focus();
})();
