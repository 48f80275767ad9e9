"""What a test does when: phases, arrivals, texts, and who sends them."""
