// The texts in sight whose contrast with what is behind them is too low (WCAG 2: 4.5, large ones 3).
() => {
  const channels = (text) => {
    const found = text.match(/[\d.]+/g).map(Number);
    if (text.startsWith("color(srgb")) found.splice(0, 3, ...found.slice(0, 3).map((c) => c * 255));
    return found.length === 3 ? [...found, 1] : found;
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
  const behind = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      const layer = channels(getComputedStyle(each).backgroundColor);
      layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((c) => {
      const share = c / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = new Set(document.querySelectorAll("textarea, input, button"));
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.data.trim()) texts.add(node.parentElement);
  }
  const low = [];
  let looked = 0;
  for (const element of texts) {
    if (["SCRIPT", "STYLE", "NOSCRIPT", "TITLE"].includes(element.tagName)) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const ink = channels(element instanceof SVGElement ? style.fill : style.color);
    const ground = behind(element);
    const [light, dark] = [luminance(over(ink, ground)), luminance(ground)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
    looked += 1;
    if (ratio < (large ? 3 : 4.5)) {
      low.push(`${ratio.toFixed(2)}: ${element.tagName} ${(element.value || element.textContent).slice(0, 40)}`);
    }
  }
  return { looked, low };
}
