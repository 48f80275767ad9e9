"""Files that others read: written beside, and renamed when they are whole."""
