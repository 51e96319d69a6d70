// Lists of versions: two ticks make a comparison. Lists of requests: j and k move, enter opens.
(() => {
  document.querySelectorAll("form[data-choose-two]").forEach((form) => {
    const boxes = () => [...form.querySelectorAll("input[type=checkbox]")];
    const button = form.querySelector("button[type=submit]");
    const note = form.querySelector(".actions .note");
    const refresh = () => {
      const ticked = boxes().filter((box) => box.checked);
      boxes().forEach((box) => { box.disabled = !box.checked && ticked.length >= 2; });
      button.disabled = ticked.length !== 2;
      note.textContent = ticked.length === 2 ? `v${ticked[1].value} and v${ticked[0].value}` : "Tick two versions.";
    };
    form.addEventListener("change", refresh);
    refresh();
  });

  const rows = () => [...document.querySelectorAll("[data-inbox] tbody tr")];
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const here = all.findIndex((row) => row.contains(document.activeElement));
    const next = all[Math.min(Math.max(here + step, 0), all.length - 1)];
    next.querySelector("a")?.focus();
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName || "");
    if (typing || event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "j") move(1);
    if (event.key === "k") move(-1);
  });
})();
