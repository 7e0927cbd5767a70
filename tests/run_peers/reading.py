NAME = "reading"
def compare(folder, stage):
    return 0
