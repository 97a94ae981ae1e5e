def answers(posts):
    return {}
