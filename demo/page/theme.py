"""How the page looks: Gradio's own parts here, the page's in style.css."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
# What the reader's machine has: no font is fetched.
_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")


def theme() -> gr.themes.Base:
    """Gradio's form in the page's colours, light and dark."""
    return gr.themes.Base(font=_FONT, font_mono=_MONO, radius_size="sm").set(
        body_background_fill="var(--page)",
        body_background_fill_dark="var(--page)",
        body_text_color="var(--ink)",
        body_text_color_dark="var(--ink)",
        body_text_color_subdued="var(--muted)",
        body_text_color_subdued_dark="var(--muted)",
        background_fill_primary="var(--surface)",
        background_fill_primary_dark="var(--surface)",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_padding="0px",
        block_shadow="none",
        block_shadow_dark="none",
        layout_gap="14px",
        color_accent="var(--accent)",
        block_label_text_color="var(--ink)",
        block_label_text_color_dark="var(--ink)",
        block_title_text_color="var(--ink)",
        block_title_text_color_dark="var(--ink)",
        block_title_text_weight="600",
        border_color_primary="var(--line)",
        border_color_primary_dark="var(--line)",
        input_background_fill="var(--surface)",
        input_background_fill_dark="var(--surface)",
        input_border_width="1px",
        input_radius="8px",
        input_border_color="var(--edge)",
        input_border_color_dark="var(--edge)",
        input_border_color_focus="var(--accent)",
        input_border_color_focus_dark="var(--accent)",
        button_border_width="1px",
        button_large_radius="8px",
        button_small_radius="8px",
        button_primary_border_color="var(--accent)",
        button_primary_border_color_dark="var(--accent)",
        button_primary_background_fill="var(--accent)",
        button_primary_background_fill_dark="var(--accent)",
        button_primary_background_fill_hover="var(--accent-deep)",
        button_primary_background_fill_hover_dark="var(--accent-deep)",
        button_primary_text_color="var(--on-accent)",
        button_primary_text_color_dark="var(--on-accent)",
        button_primary_text_color_hover="var(--on-accent)",
        button_primary_text_color_hover_dark="var(--on-accent)",
        button_secondary_background_fill="var(--surface)",
        button_secondary_background_fill_dark="var(--surface)",
        button_secondary_background_fill_hover="var(--tint)",
        button_secondary_background_fill_hover_dark="var(--tint)",
        button_secondary_border_color="var(--edge)",
        button_secondary_border_color_dark="var(--edge)",
        button_secondary_text_color="var(--ink)",
        button_secondary_text_color_dark="var(--ink)",
    )
