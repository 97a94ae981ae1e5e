"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const charts = read("chart-specs");
  const themes = read("chart-themes");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let drawn = [];

  // Names get as much room as leaves half of the width, on a phone too, to what is drawn.
  const config = (place, theme) => ({
    ...themes[theme],
    axisY: { labelLimit: Math.min(300, Math.round(place.clientWidth * 0.45)) },
  });

  const drawOne = (place, theme) =>
    window.vegaEmbed(place, charts[place.id], {
      renderer: "svg",
      config: config(place, theme),
      tooltip: { theme },
      ast: true, // expressions are interpreted, so that the page needs no right to make code from text
      actions: { export: true, source: false, compiled: false, editor: false },
    }).catch((error) => {
      place.classList.add("failed");
      place.textContent = "This chart could not be drawn. The table has all its figures.";
      console.error(error);
    });

  const draw = async () => {
    drawn.forEach((chart) => chart && chart.finalize());
    const theme = dark.matches ? "dark" : "light";
    drawn = await Promise.all(Object.keys(charts).map((id) => drawOne(document.getElementById(id), theme)));
    document.documentElement.dataset.drawn = theme;
  };

  dark.addEventListener("change", draw);
  draw();
})();
