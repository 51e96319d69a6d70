// What every page has: theme switch, search focus, dialogs, copy buttons, relative times, toasts.
(() => {
  const on = (type, selector, handler) =>
    document.addEventListener(type, (event) => {
      const target = event.target.closest?.(selector);
      if (target) handler(target, event);
    });

  on("click", "[data-theme-switch]", () => window.switchTheme());

  on("click", "[data-open]", (button) => {
    const dialog = document.getElementById(button.dataset.open);
    dialog?.showModal();
    dialog?.querySelector("textarea, input:not([type=hidden])")?.focus();
  });
  on("click", "[data-close]", (button) => button.closest("dialog")?.close());
  on("click", ".toast button", (button) => button.closest(".toast").remove());

  on("click", "[data-copy]", async (button) => {
    const source = button.dataset.copy && document.getElementById(button.dataset.copy);
    const text = source ? source.textContent : button.dataset.copyText;
    await navigator.clipboard.writeText(text.trim());
    const label = button.querySelector("[data-copy-label]") || button;
    const before = label.textContent;
    label.textContent = "Copied";
    setTimeout(() => { label.textContent = before; }, 1500);
  });

  on("submit", "form[data-once]", (form) => {
    form.querySelectorAll("button[type=submit]").forEach((button) => { button.disabled = true; });
  });

  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName || "");
    if (event.key === "/" && !typing) {
      const search = document.getElementById("search");
      if (search) { event.preventDefault(); search.focus(); }
    }
    if (event.key === "Escape") document.getElementById("search-results")?.replaceChildren();
  });

  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const words = (seconds) => {
    const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) || units[3];
    return relative.format(Math.round(seconds / size), unit);
  };
  window.refreshTimes = (root = document) => {
    root.querySelectorAll("time[datetime]").forEach((element) => {
      const at = new Date(element.dateTime);
      element.title = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
      if (!element.hasAttribute("data-absolute")) element.textContent = words((at - Date.now()) / 1000);
    });
  };
  window.refreshTimes();
  setInterval(() => window.refreshTimes(), 15000);
  document.addEventListener("htmx:afterSettle", () => window.refreshTimes());

  // What scrolls sideways can be reached and scrolled by keyboard.
  const reachable = () => document.querySelectorAll(".table-wrap, .snippet pre, .tabs").forEach((element) => {
    if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  });
  reachable();
  addEventListener("resize", reachable);
  document.addEventListener("page:changed", reachable);
})();
