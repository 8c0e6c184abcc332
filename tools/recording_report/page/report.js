'use strict';
// What is in the page is what was recorded: nothing is fetched. Times are in microseconds since the
// recording began; `grid` has those at which values are known, a task's values by index into it.
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const grid = data.grid;
  const last = grid.length - 1;
  const $ = (id) => document.getElementById(id);
  const MOST_SERIES = 12;
  const MOST_ROWS = 500;

  // --- Numbers as people read them ---
  const bytesText = (bytes) => {
    const sign = bytes < 0 ? '−' : '';
    let value = Math.abs(bytes);
    if (value < 1024) return sign + value + ' B';
    for (const unit of ['KiB', 'MiB', 'GiB', 'TiB']) {
      value /= 1024;
      if (value < 1023.95 || unit === 'TiB') return sign + value.toFixed(1) + ' ' + unit;
    }
  };
  const timeText = (us) => (us / 1e6).toFixed(3) + ' s';
  const dash = (value, text) => (value === 0 || value === null || value === undefined ? '-' : text(value));

  // --- What holds at a moment ---
  // Index of the last element that is not after `us`; -1: none is.
  const indexAt = (times, us) => {
    let low = 0;
    let high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= us) low = middle + 1; else high = middle;
    }
    return low - 1;
  };
  // Of a list of [place, value, ...]: the last whose place is not after `place`.
  const rowAt = (rows, place) => {
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle][0] <= place) low = middle + 1; else high = middle;
    }
    return low === 0 ? null : rows[low - 1];
  };
  const chargedAt = (task, index) => (rowAt(task.charged, index) || [0, 0])[1];
  const quotaAt = (task, us) => (rowAt(task.quota, us) || [0, null])[1];
  const peakIn = (task, from, to) => {
    let most = Math.max(chargedAt(task, from), chargedAt(task, to));
    for (const [index, value] of task.charged) if (index >= from && index <= to) most = Math.max(most, value);
    return most;
  };
  const counted = (task, name, fromUs, toUs) => {
    const rows = task.counters[name];
    if (!rows) return 0;
    return (rowAt(rows, toUs) || [0, 0])[1] - (rowAt(rows, fromUs - 1) || [0, 0])[1];
  };
  const dense = (task) => {
    const values = new Float64Array(grid.length);
    for (let i = 0; i < task.charged.length; ++i) {
      const end = i + 1 < task.charged.length ? task.charged[i + 1][0] : grid.length;
      values.fill(task.charged[i][1], task.charged[i][0], end);
    }
    return values;
  };

  data.tasks.forEach((task, number) => {
    task.number = number;
    task.label = task.id === null ? task.name || 'untracked' : task.name ? task.id + ' (' + task.name + ')' : task.id;
  });

  // --- The range: indexes into the grid ---
  const range = {from: 0, to: 0};
  const peakIndex = Math.max(0, indexAt(grid, data.peak_us));
  const state = {sort: 'at', descending: true, filter: '', task: null};

  // --- Colours ---
  const isDark = () => matchMedia('(prefers-color-scheme: dark)').matches;
  const palette = ['#4e79a7', '#f28e2b', '#59a14f', '#e15759', '#76b7b2', '#edc948', '#b07aa1', '#ff9da7', '#9c755f', '#86bcb6', '#d37295', '#a0cbe8'];
  const otherColour = '#8f96a3';
  const textColour = () => getComputedStyle(document.body).color;
  const lineColour = () => (isDark() ? '#343b46' : '#e3e6eb');

  // --- The chart ---
  const ranked = [...data.tasks].sort((a, b) => b.peak - a.peak);
  const shownTasks = ranked.slice(0, MOST_SERIES);
  const colours = new Map(shownTasks.map((task, i) => [task.number, palette[i % palette.length]]));
  const colourOf = (task) => colours.get(task.number) || otherColour;
  const xs = Float64Array.from(grid, (us) => us / 1e6);
  const other = new Float64Array(grid.length);
  for (const task of ranked.slice(MOST_SERIES)) {
    const values = dense(task);
    for (let i = 0; i < values.length; ++i) other[i] += values[i];
  }
  const stacked = [];
  {
    const sum = new Float64Array(grid.length);
    const layers = [...shownTasks.map((task) => ({label: task.label, colour: colourOf(task), values: dense(task)}))];
    if (ranked.length > MOST_SERIES) {
      layers.push({label: 'the ' + (ranked.length - MOST_SERIES) + ' others', colour: otherColour, values: other});
    }
    for (const layer of layers.reverse()) {
      for (let i = 0; i < sum.length; ++i) sum[i] += layer.values[i];
      stacked.push({label: layer.label, colour: layer.colour, own: layer.values, top: Float64Array.from(sum)});
    }
    stacked.reverse();
  }
  const stepped = (rows) => Float64Array.from(grid, (us) => { const row = rowAt(rows, us); return row && row[1] !== null ? row[1] : NaN; });
  const toNull = (values) => Array.from(values, (value) => (Number.isNaN(value) ? null : value));
  const resident = toNull(stepped(data.resident));
  const memory = toNull(stepped(data.memory));
  // The quota of the chosen task, else of all that are shown and agree on one, else each its own.
  const quotaLines = () => {
    const tasks = state.task !== null ? [data.tasks[state.task]] : shownTasks;
    const lines = new Map();
    for (const task of tasks) {
      for (const [, quota] of task.quota) if (quota !== null) lines.set(quota, task);
    }
    return [...lines.keys()].slice(0, 8);
  };
  const kinds = {
    refusal: ['refused', '#d62728', '▼'], spill: ['spilled', '#9467bd', '◆'], eviction: ['evicted', '#8c564b', '■'],
    overflow: ['overflow', '#17becf', '▲'], overdraft: ['overdrawn', '#e377c2', '●'], killed: ['killed', '#d62728', '✖'],
  };

  const drawMarkers = (plot) => {
    const context = plot.ctx;
    context.save();
    context.beginPath();
    context.rect(plot.bbox.left, plot.bbox.top - 14 * devicePixelRatio, plot.bbox.width, plot.bbox.height + 14 * devicePixelRatio);
    context.clip();
    context.setLineDash([6, 4]);
    context.lineWidth = devicePixelRatio;
    for (const quota of quotaLines()) {
      const y = plot.valToPos(quota, 'y', true);
      if (y < plot.bbox.top) continue;
      context.strokeStyle = '#d62728';
      context.beginPath();
      context.moveTo(plot.bbox.left, y);
      context.lineTo(plot.bbox.left + plot.bbox.width, y);
      context.stroke();
      context.fillStyle = '#d62728';
      context.font = 11 * devicePixelRatio + 'px system-ui, sans-serif';
      context.textAlign = 'right';
      context.fillText('quota ' + bytesText(quota), plot.bbox.left + plot.bbox.width - 4, y - 3);
    }
    context.setLineDash([]);
    context.textAlign = 'center';
    context.font = 12 * devicePixelRatio + 'px sans-serif';
    const seen = new Set();
    for (const marker of data.markers) {
      if (state.task !== null && marker[2] !== state.task && marker[2] !== null) continue;
      const x = Math.round(plot.valToPos(marker[0] / 1e6, 'x', true));
      const [, colour, sign] = kinds[marker[1]];
      if (seen.has(x + marker[1])) continue;
      seen.add(x + marker[1]);
      context.strokeStyle = context.fillStyle = colour;
      context.globalAlpha = 0.35;
      context.beginPath();
      context.moveTo(x, plot.bbox.top);
      context.lineTo(x, plot.bbox.top + plot.bbox.height);
      context.stroke();
      context.globalAlpha = 1;
      context.fillText(sign, x, plot.bbox.top - 2);
    }
    // The moment, or where the range ends.
    context.strokeStyle = textColour();
    context.lineWidth = 1.5 * devicePixelRatio;
    const x = plot.valToPos(xs[range.to], 'x', true);
    context.beginPath();
    context.moveTo(x, plot.bbox.top);
    context.lineTo(x, plot.bbox.top + plot.bbox.height);
    context.stroke();
    context.restore();
  };

  const axes = () => [
    {stroke: textColour(), grid: {stroke: lineColour()}, ticks: {stroke: lineColour()}, values: (_, ticks) => ticks.map((s) => +s.toFixed(6) + ' s')},
    {stroke: textColour(), grid: {stroke: lineColour()}, ticks: {stroke: lineColour()}, size: 90, values: (_, ticks) => ticks.map(bytesText),
      incrs: Array.from({length: 44}, (_, i) => 2 ** i)},
  ];
  const stepPaths = uPlot.paths.stepped({align: 1});
  const widthOf = (element) => Math.max(300, element.clientWidth);
  let plot = null;
  let selecting = false;
  const makeChart = () => {
    if (plot) plot.destroy();
    const series = [{label: 'time', value: (_, s) => (s === null ? '' : s.toFixed(3) + ' s')}];
    const values = [xs];
    stacked.forEach((layer) => {
      series.push({label: layer.label, stroke: layer.colour, fill: layer.colour + 'b0', width: 1, points: {show: false}, paths: stepPaths,
        value: (_, __, ___, index) => (index === null || index === undefined ? '' : bytesText(layer.own[index]))});
      values.push(layer.top);
    });
    series.push({label: 'resident', stroke: textColour(), width: 1.5, points: {show: false}, paths: stepPaths, value: (_, v) => (v === null ? '' : bytesText(v))});
    values.push(resident);
    if (memory.some((value) => value !== null) && data.memory_is_set) {
      series.push({label: '--memory', stroke: '#d62728', dash: [10, 4], width: 1.5, points: {show: false}, paths: stepPaths, value: (_, v) => (v === null ? '' : bytesText(v))});
      values.push(memory);
    }
    const most = Math.max(1024, ...stacked.length ? stacked[0].top : [0], ...resident.filter((v) => v !== null));
    const highest = Math.max(most, ...quotaLines().filter((quota) => quota < most * 3));
    plot = new uPlot({
      width: widthOf($('chart')), height: 360, padding: [18, 12, 0, 0],
      scales: {x: {time: false, range: [xs[0], Math.max(xs[last], xs[0] + 1e-6)]}, y: {range: [0, highest * 1.05]}},
      axes: axes(), series, legend: {live: true},
      cursor: {drag: {x: true, y: false, setScale: false}, points: {show: false}},
      hooks: {ready: [() => { if (plot) showSelection(); }], draw: [drawMarkers], setSelect: [(u) => {
        if (selecting) return;
        const from = u.posToVal(u.select.left, 'x') * 1e6;
        const to = u.posToVal(u.select.left + u.select.width, 'x') * 1e6;
        setRange(indexAt(grid, from), indexAt(grid, to));
      }]},
    }, values, $('chart'));
    plot.over.addEventListener('click', (event) => {
      // The end of a drag: pressing the button had cleared what was selected before.
      if (plot.select.width > 2) return;
      const index = indexAt(grid, plot.posToVal(event.offsetX, 'x') * 1e6);
      setRange(index, index);
    });
    showSelection();
  };
  const showSelection = () => {
    selecting = true;
    const left = plot.valToPos(xs[range.from], 'x');
    const width = plot.valToPos(xs[range.to], 'x') - left;
    plot.setSelect({left, width: range.to > range.from ? width : 0, top: 0, height: plot.bbox.height / devicePixelRatio}, false);
    selecting = false;
    plot.redraw(false);
  };

  // --- The tables ---
  const cell = (row, text, isText) => {
    const element = document.createElement('td');
    element.textContent = text;
    if (isText) element.className = 'text';
    row.append(element);
    return element;
  };
  const heads = (table, columns, onSort) => {
    const row = document.createElement('tr');
    for (const column of columns) {
      const element = document.createElement('th');
      element.scope = 'col';
      if (column.text) element.className = 'text';
      if (onSort) {
        const button = document.createElement('button');
        const isSorted = state.sort === column.key;
        button.textContent = column.title + (isSorted ? (state.descending ? ' ▾' : ' ▴') : '');
        if (isSorted) element.setAttribute('aria-sort', state.descending ? 'descending' : 'ascending');
        button.onclick = () => onSort(column.key);
        element.append(button);
      } else {
        element.textContent = column.title;
      }
      row.append(element);
    }
    table.tHead.replaceChildren(row);
  };
  const columns = [
    {key: 'label', title: 'task', text: true},
    {key: 'at', title: 'at the end', show: bytesText},
    {key: 'peak', title: 'peak in it', show: bytesText},
    {key: 'grown', title: 'change', show: bytesText},
    {key: 'mapped', title: 'mapped', show: bytesText},
    {key: 'quota', title: 'quota', show: bytesText},
    {key: 'refusals', title: 'refused', show: String},
    {key: 'overdrafts', title: 'overdrawn', show: String},
    {key: 'spill_freed_bytes', title: 'spilled', show: bytesText},
    {key: 'evicted_bytes', title: 'evicted', show: bytesText},
    {key: 'overflow', title: 'overflow', show: bytesText},
    {key: 'stall_ns', title: 'stalled', show: (ns) => (ns / 1e9).toFixed(3) + ' s'},
    {key: 'begin', title: 'begin', show: timeText},
    {key: 'end', title: 'end', show: timeText},
    {key: 'retained', title: 'retained', show: bytesText},
  ];
  const rowsOfTasks = () => {
    const {from, to} = range;
    const [fromUs, toUs] = [grid[from], grid[to]];
    const rows = [];
    for (const task of data.tasks) {
      const isThere = task.begin <= toUs && (task.gone === null || task.gone >= fromUs);
      if (!isThere) continue;
      if (state.filter && !task.label.toLowerCase().includes(state.filter)) continue;
      const at = chargedAt(task, to);
      const peak = peakIn(task, from, to);
      const row = {task, label: task.label, at, peak, grown: at - chargedAt(task, from), mapped: (rowAt(task.mapped, toUs) || [0, 0])[1], quota: quotaAt(task, toUs), begin: task.begin, end: task.end,
        retained: task.end !== null && task.end <= toUs ? at : null};
      for (const name of ['refusals', 'overdrafts', 'spill_freed_bytes', 'evicted_bytes', 'stall_ns']) {
        row[name] = from === to ? (rowAt(task.counters[name] || [], toUs) || [0, 0])[1] : counted(task, name, fromUs, toUs);
      }
      row.overflow = (rowAt(task.counters.overflow_bytes || [], toUs) || [0, 0])[1];
      rows.push(row);
    }
    const sign = state.descending ? -1 : 1;
    const key = state.sort;
    rows.sort((a, b) => {
      if (key === 'label') return sign * a.label.localeCompare(b.label);
      return sign * ((a[key] ?? -Infinity) - (b[key] ?? -Infinity)) || b.peak - a.peak;
    });
    return rows;
  };
  const showTasks = () => {
    const table = $('tasks');
    heads(table, columns, (key) => {
      state.descending = state.sort === key ? !state.descending : key !== 'label';
      state.sort = key;
      showTasks();
    });
    const rows = rowsOfTasks();
    const body = document.createDocumentFragment();
    for (const row of rows.slice(0, MOST_ROWS)) {
      const element = document.createElement('tr');
      element.tabIndex = 0;
      element.dataset.task = row.task.number;
      if (state.task === row.task.number) element.className = 'chosen';
      for (const column of columns) {
        if (column.text) {
          const text = cell(element, '', true);
          const swatch = document.createElement('span');
          swatch.className = 'swatch';
          swatch.style.background = colourOf(row.task);
          text.append(swatch, row.label);
          continue;
        }
        const value = row[column.key];
        const shown = cell(element, dash(value, column.show));
        shown.dataset.key = column.key;
        shown.dataset.value = value === null ? '' : String(value);
      }
      const choose = () => {
        state.task = state.task === row.task.number ? null : row.task.number;
        showAll();
      };
      element.onclick = choose;
      element.onkeydown = (event) => { if (event.key === 'Enter') choose(); };
      body.append(element);
    }
    table.tBodies[0].replaceChildren(body);
    let sum = 0;
    for (const row of rows) sum += row.at;
    $('shown').textContent = (rows.length > MOST_ROWS ? 'the first ' + MOST_ROWS + ' of ' : '') + rows.length + ' tasks, ' + bytesText(sum) + ' at the end of the range' +
      (state.task !== null ? '; one is chosen (Enter or click again: all)' : '');
    $('shown').dataset.sum = String(sum);
  };
  const showEvents = () => {
    const table = $('events');
    heads(table, [{title: 'time'}, {title: 'what', text: true}, {title: 'task', text: true}, {title: 'bytes'}, {title: 'held'}, {title: 'limit'}]);
    const [fromUs, toUs] = range.from === range.to ? [0, data.duration_us] : [grid[range.from], grid[range.to]];
    const found = data.events.filter((event) => event[0] >= fromUs && event[0] <= toUs && (state.task === null || event[2] === state.task));
    const body = document.createDocumentFragment();
    for (const [us, kind, task, bytes, held, limit] of found.slice(0, MOST_ROWS)) {
      const row = document.createElement('tr');
      cell(row, timeText(us));
      cell(row, kind, true);
      cell(row, task === null ? '-' : data.tasks[task].label, true);
      cell(row, dash(bytes, bytesText));
      cell(row, dash(held, bytesText));
      cell(row, kind === 'wait' || kind === 'stall' ? (limit / 1e6).toFixed(3) + ' ms' : dash(limit, bytesText));
      body.append(row);
    }
    if (found.length === 0) cell(body.appendChild(document.createElement('tr')), 'none', true);
    table.tBodies[0].replaceChildren(body);
  };

  // --- The flame graph ---
  const lookTimes = data.looks.map((look) => look.us);
  const nearestLook = (us) => {
    const before = indexAt(lookTimes, us);
    if (before < 0) return lookTimes.length ? 0 : -1;
    if (before + 1 < lookTimes.length && lookTimes[before + 1] - us < us - lookTimes[before]) return before + 1;
    return before;
  };
  const sitesOf = (what) => {
    const [fromUs, toUs] = [grid[range.from], grid[range.to]];
    const live = new Map();
    const grown = new Map();
    const until = what === 'live' ? nearestLook(toUs) : indexAt(lookTimes, toUs);
    for (let i = 0; i <= until; ++i) {
      const look = data.looks[i];
      for (const [stack, task, bytes] of look.sites) {
        const key = stack + ',' + task;
        const before = live.get(key) || 0;
        if (bytes > before && look.us > fromUs) grown.set(key, (grown.get(key) || 0) + bytes - before);
        live.set(key, bytes);
      }
    }
    const sites = [];
    for (const [key, bytes] of what === 'live' ? live : grown) {
      if (bytes === 0) continue;
      const [stack, task] = key.split(',').map(Number);
      if (state.task !== null && task !== state.task) continue;
      sites.push({stack: data.stacks[stack], task: task < 0 ? null : data.tasks[task], bytes});
    }
    return {sites, look: until >= 0 ? data.looks[until] : null};
  };
  const allocatesForOthers = (module) => /^lib(c|stdc\+\+)\.so/.test(module);
  const pathOf = (site, by) => {
    const code = site.stack.map((frame) => data.frames[frame].name);
    if (by === 'code') return code;
    if (by === 'task') return [site.task ? site.task.label : 'untracked', ...code];
    let module = 'unknown';
    for (let i = site.stack.length - 1; i >= 0; --i) {
      module = data.frames[site.stack[i]].module || 'unknown';
      if (!allocatesForOthers(module)) break;
    }
    return [module, ...code];
  };
  let flame = null;
  const showFlame = () => {
    const what = $('flame-what').value;
    const {sites, look} = sitesOf(what);
    const root = {name: 'all', value: 0, children: []};
    const index = new Map();
    for (const site of sites) {
      let node = root;
      node.value += site.bytes;
      let path = '';
      for (const name of pathOf(site, $('flame-by').value)) {
        path += '\n' + name;
        let child = index.get(path);
        if (!child) {
          child = {name, value: 0, children: []};
          index.set(path, child);
          node.children.push(child);
        }
        child.value += site.bytes;
        node = child;
      }
    }
    $('flame').replaceChildren();
    $('flame').dataset.bytes = String(root.value);
    $('flame-details').textContent = '';
    $('flame-note').textContent = look === null ? 'no look at the stacks was recorded'
      : bytesText(root.value) + ' by samples, ' + (what === 'live' ? 'at ' + timeText(look.us) : 'as far as looks saw it');
    if (root.value > 0) {
      flame = flamegraph.default().width(widthOf($('flame'))).cellHeight(18).transitionDuration(0).minFrameSize(2).inverted(true).sort((a, b) => b.value - a.value)
        .label((node) => node.data.name + ': ' + bytesText(node.value))
        .onHover((node) => { $('flame-details').textContent = node.data.name + ': ' + bytesText(node.value); })
        .onClick((node) => { $('flame-details').textContent = node.data.name + ': ' + bytesText(node.value); });
      d3.select('#flame').datum(root).call(flame);
    }
    const table = $('sites');
    heads(table, [{title: 'bytes'}, {title: 'task', text: true}, {title: 'code, the innermost first', text: true}]);
    const body = document.createDocumentFragment();
    sites.sort((a, b) => b.bytes - a.bytes);
    for (const site of sites.slice(0, 100)) {
      const row = document.createElement('tr');
      cell(row, bytesText(site.bytes));
      cell(row, site.task ? site.task.label : 'untracked', true);
      cell(row, site.stack.slice().reverse().slice(0, 6).map((frame) => data.frames[frame].name).join(' ← '), true);
      body.append(row);
    }
    table.tBodies[0].replaceChildren(body);
  };

  // --- The audit's classes ---
  let classesPlot = null;
  const makeClasses = () => {
    if (classesPlot) classesPlot.destroy();
    classesPlot = null;
    const rows = data.classes.rows;
    if (rows.length < 1) {
      $('classes-chart').textContent = 'no audit was recorded';
      return;
    }
    const names = data.classes.names;
    const used = names.map((_, i) => i).filter((i) => rows.some((row) => row[i + 1] > 0));
    const times = rows.map((row) => row[0] / 1e6);
    const series = [{label: 'time', value: (_, s) => (s === null ? '' : s.toFixed(3) + ' s')}];
    const values = [times];
    const sum = new Float64Array(rows.length);
    for (const i of used.slice().reverse()) {
      for (let r = 0; r < rows.length; ++r) sum[r] += rows[r][i + 1];
      const colour = palette[i % palette.length];
      series.splice(1, 0, {label: names[i], stroke: colour, fill: colour + 'b0', width: 1, points: {show: rows.length < 3}, paths: stepPaths,
        value: (_, __, ___, index) => (index === null || index === undefined ? '' : bytesText(rows[index][i + 1]))});
      values.splice(1, 0, Array.from(sum));
    }
    classesPlot = new uPlot({width: widthOf($('classes-chart')), height: 260, scales: {x: {time: false, range: [xs[0], Math.max(xs[last], xs[0] + 1e-6)]}, y: {range: [0, Math.max(1024, ...sum) * 1.05]}},
      axes: axes(), series, cursor: {drag: {x: false, y: false}, points: {show: false}}}, values, $('classes-chart'));
  };

  // --- All of it ---
  const setRange = (from, to) => {
    range.from = Math.min(Math.max(Math.min(from, to), 0), last);
    range.to = Math.min(Math.max(Math.max(from, to), 0), last);
    showAll();
  };
  const showAll = () => {
    const {from, to} = range;
    $('range').textContent = from === to ? 'at ' + timeText(grid[to]) + (to === peakIndex ? ', the peak' : '') : timeText(grid[from]) + ' to ' + timeText(grid[to]);
    $('range').dataset.fromUs = String(grid[from]);
    $('range').dataset.toUs = String(grid[to]);
    if (plot) showSelection();
    showTasks();
    showFlame();
    showEvents();
  };
  const redraw = () => { makeChart(); makeClasses(); showFlame(); };

  const process = data.title || data.program;
  document.title = process + ': taskmem report';
  $('title').textContent = process;
  const total = stacked.length ? stacked[0].top : new Float64Array(grid.length);
  $('summary').textContent = 'pid ' + data.pid + ', ' + timeText(data.duration_us) + ' from ' + new Date(data.began_unix_ms).toISOString().slice(0, 19).replace('T', ' ') +
    ' UTC; ' + data.tasks.filter((task) => task.id !== null).length + ' tasks; peak ' + bytesText(total[peakIndex]) + ' at ' + timeText(grid[peakIndex]) + '; ' + data.end;
  $('summary').dataset.peak = String(total[peakIndex]);
  $('notes').textContent = data.notes.join(' ');
  $('version').textContent = data.version;
  const used = [...new Set(data.markers.map((marker) => marker[1]))];
  for (const kind of used) {
    const item = document.createElement('span');
    item.style.color = kinds[kind][1];
    item.textContent = kinds[kind][2] + ' ' + kinds[kind][0] + '  ';
    $('markers').append(item);
  }
  $('to-peak').onclick = () => setRange(peakIndex, peakIndex);
  $('to-end').onclick = () => setRange(last, last);
  $('to-all').onclick = () => setRange(0, last);
  $('filter').oninput = (event) => { state.filter = event.target.value.trim().toLowerCase(); showTasks(); };
  $('flame-what').onchange = $('flame-by').onchange = showFlame;
  document.addEventListener('keydown', (event) => {
    if (event.target.tagName === 'INPUT' || event.target.tagName === 'SELECT') {
      if (event.key === 'Escape') event.target.blur();
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const step = Math.max(1, Math.round(grid.length / 200));
    const move = (by) => (event.shiftKey ? setRange(range.from, Math.max(range.from, range.to + by)) : setRange(range.to + by, range.to + by));
    const keys = {
      p: () => setRange(peakIndex, peakIndex), e: () => setRange(last, last), a: () => setRange(0, last), '/': () => $('filter').focus(),
      ArrowLeft: () => move(-step), ArrowRight: () => move(step), Escape: () => { state.task = null; setRange(peakIndex, peakIndex); },
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  let resizing = 0;
  addEventListener('resize', () => { clearTimeout(resizing); resizing = setTimeout(redraw, 150); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  // A link may name a range: report.html#FROM-TO, in microseconds.
  const named = /^#(\d+)-(\d+)$/.exec(location.hash);
  range.from = named ? Math.max(0, indexAt(grid, Number(named[1]))) : peakIndex;
  range.to = named ? Math.max(range.from, indexAt(grid, Number(named[2]))) : peakIndex;
  makeChart();
  makeClasses();
  showAll();
})();
