"use strict";
(() => {
  const PAGE = 25, HEAT = 40, PRINTED = 100, SVG = "http://www.w3.org/2000/svg";
  const boxes = [];

  const make = (name, text, kind) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (kind) node.className = kind;
    return node;
  };
  const drawn = (name, attributes, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const grouped = (value) => {
    const [whole, part] = String(value).split(".");
    const text = whole.replace(/\B(?=(\d{3})+$)/g, ",");
    return part === undefined ? text : text + "." + part;
  };

  // What tables and the heat map share: a filter, pages, and a line that says what is seen.
  const turning = (box, size, printed, what, all, fits, show) => {
    const input = box.querySelector("input"), line = box.querySelector(".rows");
    const turn = box.querySelector(".turn");
    let found = all, at = 0;
    const back = make("button", "Earlier"), on = make("button", "Later");
    back.type = on.type = "button";
    turn.append(back, on);
    const draw = (rows = size) => {
      const seen = found.slice(at, at + rows);
      show(seen);
      const from = seen.length ? at + 1 : 0, to = at + seen.length;
      line.textContent = `${what} ${grouped(from)} to ${grouped(to)} of ${grouped(found.length)}` +
        (found.length < all.length ? `, chosen from ${grouped(all.length)}.` : ".");
      back.disabled = at === 0;
      on.disabled = to >= found.length;
      turn.hidden = found.length <= size;
    };
    const filter = () => {
      const wanted = input.value.trim().toLowerCase();
      found = wanted ? all.filter((row) => fits(row, wanted)) : all;
      at = 0;
      draw();
    };
    let waiting;
    input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
    back.addEventListener("click", () => { at = Math.max(0, at - size); draw(); });
    on.addEventListener("click", () => { at += size; draw(); });
    // A few rows need no filter.
    box.querySelector(".tools").hidden = all.length < 10;
    boxes.push((paper) => draw(paper ? printed : size));
    return filter;
  };

  for (const box of document.querySelectorAll(".listing")) {
    const id = box.dataset.for;
    const data = JSON.parse(document.getElementById(id + "-d").textContent);
    const table = document.getElementById(id), body = table.tBodies[0];
    const number = [...data.n].map((n) => n === "1"), time = [...data.n].map((n) => n === "2");
    // Whole numbers beyond 53 bits come as text.
    for (const row of data.rows) {
      row.forEach((value, i) => { if (number[i] && typeof value === "string") row[i] = BigInt(value); });
    }
    const shown = (value, i) => value === null ? "–" : number[i] ? grouped(value) : value;
    const show = (rows) => {
      body.replaceChildren(...rows.map((row) => {
        const line = document.createElement("tr");
        row.forEach((value, i) => {
          const cell = i === 0 ? make("th") : make("td");
          if (i === 0) cell.scope = "row";
          if (number[i]) { cell.className = "n"; cell.textContent = shown(value, i); }
          else if (time[i]) { cell.className = "t"; cell.textContent = shown(value, i); }
          else cell.append(make("bdi", shown(value, i)));
          line.append(cell);
        });
        return line;
      }));
    };
    const fits = (row, wanted) =>
      // A number is found with and without its commas.
      row.some((value, i) => value !== null && `${shown(value, i)}\n${value}`.toLowerCase().includes(wanted));
    const again = turning(box, PAGE, PRINTED, "Rows", data.rows, fits, show);
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, i) => {
      const button = make("button");
      button.type = "button";
      button.setAttribute("aria-label", "Sort by " + head.textContent);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        // Numbers begin with the largest, texts with the first.
        const was = head.getAttribute("aria-sort");
        const up = was === "none" ? !number[i] : was === "descending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const sign = up ? 1 : -1;
        data.rows.sort((a, b) => {
          const x = a[i], y = b[i];
          if (x === y) return 0;
          // What is not known stands at the end both ways.
          if (x === null) return 1;
          if (y === null) return -1;
          return x < y ? -sign : x > y ? sign : 0;
        });
        again();
      });
    });
    again();
  }

  for (const box of document.querySelectorAll(".heat")) {
    const { cell, rows } = JSON.parse(document.getElementById("heat-d").textContent);
    const map = document.getElementById("heat");
    const fixed = [...map.children].filter((node) => node.tagName === "text");
    const left = 232, top = 22, high = 16, wide = Math.max(cell - 1, 1);
    const show = (seen) => {
      map.setAttribute("viewBox", `0 0 960 ${top + high * seen.length}`);
      map.replaceChildren(...fixed, ...seen.map(([name, , requests, shades, promises], i) => {
        const y = top + high * i, group = drawn("g", {});
        group.append(drawn("title", {}, `${name}: ${requests} ${requests === "1" ? "request" : "requests"}`));
        const letters = [...name];
        const label = letters.length > 32 ? letters.slice(0, 31).join("") + "…" : name;
        group.append(drawn("text", { class: "app", x: 0, y: y + 12 }, label));
        for (let level = 1; level <= 5; level++) {
          let path = "";
          for (let c = 0; c < shades.length; c++) {
            if (shades[c] === String(level)) {
              path += `M${(left + cell * c).toFixed(1)} ${y + 1}h${wide.toFixed(1)}v14h-${wide.toFixed(1)}z`;
            }
          }
          if (path) group.append(drawn("path", { class: "h" + level, d: path }));
        }
        for (const c of promises) {
          group.append(drawn("path", { class: "promise", d: `M${(left + cell * (c + 0.5)).toFixed(1)} ${y + 15}l-5 -9h10z` }));
        }
        return group;
      }));
    };
    const fits = (row, wanted) => (row[0] + "\n" + row[1]).toLowerCase().includes(wanted);
    turning(box, HEAT, HEAT, "Apps", rows, fits, show)();
  }

  // Paper has no buttons: more rows are printed, and the line below says how many.
  addEventListener("beforeprint", () => boxes.forEach((draw) => draw(true)));
  addEventListener("afterprint", () => boxes.forEach((draw) => draw(false)));
})();
